import type { DocumentNode, GraphQLSchema, OperationDefinitionNode } from 'graphql';
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit';

/** Compiling costs more than running once, so it is done for what comes again. */
const RUNS_BEFORE = 3;
/** Far more than the operations of any console; each takes some tens of kilobytes. */
const KEPT = 500;

type Run = CompiledQuery['query'];

/**
 * Queries that are asked again and again, compiled to functions. What is compiled stays known by its document, of which the
 * server keeps one for each text; the one least recently used is forgotten first.
 */
export class CompiledOperations {
  /** By document and operation; null: graphql-jit does not take it. In the order of their last use. */
  private readonly known = new Map<OperationDefinitionNode, { runs: number; run: Run | null }>();

  constructor(private readonly schema: GraphQLSchema) {}

  /** The compiled form of a query; undefined where it is not worth it, or not possible: then it is executed as ever. */
  find(document: DocumentNode, operation: OperationDefinitionNode): Run | undefined {
    if (operation.operation !== 'query' || hasDirectives(operation)) return undefined;
    const entry = this.known.get(operation) ?? { runs: 0, run: null };
    this.known.delete(operation);
    this.known.set(operation, entry);
    if (this.known.size > KEPT) this.known.delete(this.known.keys().next().value as OperationDefinitionNode);
    entry.runs += 1;
    if (entry.runs === RUNS_BEFORE) entry.run = this.compile(document, operation);
    return entry.run ?? undefined;
  }

  private compile(document: DocumentNode, operation: OperationDefinitionNode): Run | null {
    const compiled = compileQuery(this.schema, document, operation.name?.value ?? '');
    return isCompiledQuery(compiled) ? compiled.query : null;
  }
}

/** Directives of the operation itself have no meaning that a compiled form would keep. */
function hasDirectives(operation: OperationDefinitionNode): boolean {
  return (operation.directives?.length ?? 0) > 0;
}
