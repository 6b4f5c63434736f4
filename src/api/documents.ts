import { type DocumentNode, GraphQLError, type GraphQLSchema, parse, validate } from 'graphql';

const KEPT = 1_000;
/** Longer documents are not kept: a thousand of them must not fill the memory. */
const MAX_KEPT_LENGTH = 20_000;

/** Parses and validates documents, each text once for as long as it is used. */
export class Documents {
  /** In the order of their last use. */
  private readonly valid = new Map<string, DocumentNode>();

  constructor(
    private readonly schema: GraphQLSchema,
    private readonly maxTokens: number,
  ) {}

  /** The document, or what is wrong with it, with the codes that errors over HTTP have. */
  prepare(text: string): { document: DocumentNode } | { problems: readonly GraphQLError[] } {
    const known = this.valid.get(text);
    if (known) {
      this.valid.delete(text);
      this.valid.set(text, known);
      return { document: known };
    }
    const document = this.parsed(text);
    if (document instanceof GraphQLError) return { problems: [coded(document, 'GRAPHQL_PARSE_FAILED')] };
    const problems = validate(this.schema, document);
    if (problems.length > 0) return { problems: problems.map((p) => coded(p, 'GRAPHQL_VALIDATION_FAILED')) };
    if (text.length <= MAX_KEPT_LENGTH) this.valid.set(text, document);
    if (this.valid.size > KEPT) this.valid.delete(this.valid.keys().next().value as string);
    return { document };
  }

  private parsed(text: string): DocumentNode | GraphQLError {
    try {
      return parse(text, { maxTokens: this.maxTokens });
    } catch (error) {
      return error instanceof GraphQLError ? error : new GraphQLError((error as Error).message);
    }
  }
}

function coded(error: GraphQLError, code: string): GraphQLError {
  return Object.assign(error, { extensions: { ...error.extensions, code } });
}
