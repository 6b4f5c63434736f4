import { type DocumentNode, type GraphQLError, type GraphQLSchema, parse, validate } from 'graphql';

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

  /** @throws GraphQLError for what is no GraphQL */
  prepare(text: string): { document: DocumentNode } | { problems: readonly GraphQLError[] } {
    const known = this.valid.get(text);
    if (known) {
      this.valid.delete(text);
      this.valid.set(text, known);
      return { document: known };
    }
    const document = parse(text, { maxTokens: this.maxTokens });
    const problems = validate(this.schema, document);
    if (problems.length > 0) return { problems };
    if (text.length <= MAX_KEPT_LENGTH) this.valid.set(text, document);
    if (this.valid.size > KEPT) this.valid.delete(this.valid.keys().next().value as string);
    return { document };
  }
}
