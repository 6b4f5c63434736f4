import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  type SubscriptionArgs,
} from 'graphql';
import type { RequestContext } from './context';

/** How long an answer serves: until everybody who listens has it. */
const SHARED_MS = 2_000;

type Result = ExecutionResult | Promise<ExecutionResult>;

/**
 * Subscriptions that ask the same, with the same variables and role, have each event's answer worked out once: however many
 * listen, a change costs one execution. Each keeps its own place in the event log, so that nobody misses or waits for anything.
 */
export class SharedSubscriptions {
  /** Answers by event. */
  private readonly answers = new WeakMap<object, Map<string, Result>>();
  private readonly documents = new WeakMap<DocumentNode, number>();
  private documentCount = 0;

  /** As graphql-js's `subscribe`. */
  async subscribe(args: SubscriptionArgs): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
    const source = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in source)) return source as ExecutionResult;
    const events = source[Symbol.asyncIterator]();
    const question = this.questionOf(args);
    const answer = async (step: IteratorResult<unknown>): Promise<IteratorResult<ExecutionResult>> =>
      step.done
        ? { done: true, value: undefined }
        : { done: false, value: await this.answer(question, args, step.value) };
    const results: AsyncIterableIterator<ExecutionResult> = {
      next: () => events.next().then(answer),
      return: async () => answer(await (events.return?.() ?? { done: true, value: undefined })),
      throw: async (error) => answer(await (events.throw?.(error) ?? Promise.reject(error))),
      [Symbol.asyncIterator]: () => results,
    };
    return results;
  }

  /** The same text for whoever asks the same and may see the same. */
  private questionOf({ document, operationName, variableValues, contextValue }: SubscriptionArgs): string {
    const known = this.documents.get(document) ?? ++this.documentCount;
    this.documents.set(document, known);
    const { role } = (contextValue as RequestContext).actor;
    return JSON.stringify([known, operationName ?? null, role, variableValues ?? null]);
  }

  private answer(question: string, args: ExecutionArgs, event: unknown): Result {
    if (typeof event !== 'object' || event === null) return run(args, event);
    const answers = this.answers.get(event) ?? new Map<string, Result>();
    this.answers.set(event, answers);
    const known = answers.get(question);
    if (known) return known;
    const result = run(args, event);
    answers.set(question, result);
    // Whoever comes back later asks again, and what was asked about more than the event is then as it is by then.
    setTimeout(() => answers.delete(question), SHARED_MS).unref();
    return result;
  }
}

function run(args: ExecutionArgs, event: unknown): Result {
  return execute({ ...args, rootValue: event }) as Result;
}
