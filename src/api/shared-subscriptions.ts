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
type Step = IteratorResult<ExecutionResult>;

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
    // An answer that is at hand is given as it is: with thousands of listeners every promise in between counts.
    const answer = (step: IteratorResult<unknown>): Step | Promise<Step> => {
      if (step.done) return { done: true, value: undefined };
      const result = this.answer(question, args, step.value);
      return 'then' in result ? result.then((value) => ({ done: false, value })) : { done: false, value: result };
    };
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
    if ('then' in result) void result.then((value) => answers.has(question) && answers.set(question, value));
    // Whoever comes back later asks again, and what was asked about more than the event is then as it is by then.
    setTimeout(() => answers.delete(question), SHARED_MS).unref();
    return result;
  }
}

function run(args: ExecutionArgs, event: unknown): Result {
  return execute({ ...args, rootValue: event }) as Result;
}
