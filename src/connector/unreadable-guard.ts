import type { DirectoryPage } from './directory-connector';

/** Unreadable answers in a row after which it is asked whether the directory answers anything. */
const ASK_AFTER = 5;
/** So many that reading on only wastes calls, whatever else the directory answers. */
const GIVE_UP_AFTER = 100;

/** Ends a read after several unreadable pages in a row, unless something else can be read: then it is these pages that are at fault. */
export class UnreadableGuard {
  private inARow = 0;

  /** @param probe a call that works where anything does */
  constructor(private readonly probe: () => Promise<unknown>) {}

  /** @throws DirectoryError when reading on makes no sense */
  async pass<P extends Pick<DirectoryPage<unknown>, 'content'>>(page: P): Promise<P> {
    const { content } = page;
    this.inARow = content.kind === 'unreadable' ? this.inARow + 1 : 0;
    if (content.kind !== 'unreadable' || content.error.code === 'UPSTREAM_REFUSED') return page;
    if (this.inARow < ASK_AFTER) return page;
    // A limit of one path says nothing about others, and each page behind it waits as long.
    if (content.error.code === 'UPSTREAM_RATE_LIMITED' || this.inARow >= GIVE_UP_AFTER) throw content.error;
    if (this.inARow % ASK_AFTER === 0) await this.probe();
    return page;
  }
}
