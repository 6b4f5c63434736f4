import type { CompanySettings } from './company';
import { WecomRefusal } from './errors';

const DEBUG_CALLS_PER_MINUTE = 5;

/** How often and how often at once one caller may call each path. */
export class CallLimits {
  private readonly calls = new Map<string, number[]>();
  private readonly running = new Map<string, number>();
  private readonly blocked = new Map<string, number>();

  constructor(private readonly settings: Pick<CompanySettings, 'callsPerMinute' | 'concurrency' | 'blockSeconds'>) {}

  /**
   * Takes one call's place; what it returns gives the place back.
   * @param debug calls with debug=1 have a limit of their own: 5 a minute
   * @throws WecomRefusal 45009 or 45033
   */
  enter(path: string, debug: boolean): () => void {
    const now = Date.now();
    if ((this.blocked.get(path) ?? 0) > now) throw new WecomRefusal(45009);
    this.count(debug ? 'debug' : path, debug ? DEBUG_CALLS_PER_MINUTE : this.settings.callsPerMinute, path);
    const running = this.running.get(path) ?? 0;
    if (running >= this.settings.concurrency) throw new WecomRefusal(45033);
    this.running.set(path, running + 1);
    return () => this.running.set(path, (this.running.get(path) ?? 1) - 1);
  }

  private count(name: string, limit: number, path: string): void {
    const now = Date.now();
    const recent = this.calls.get(name) ?? [];
    while (recent.length > 0 && (recent[0] ?? 0) < now - 60_000) recent.shift();
    if (recent.length >= limit) {
      // Over a minute's limit the path stays closed for a minute. Source: developer.work.weixin.qq.com/document/path/90312
      if (name === path) this.blocked.set(path, now + this.settings.blockSeconds * 1000);
      throw new WecomRefusal(45009);
    }
    recent.push(now);
    this.calls.set(name, recent);
  }
}

/** @param allowed addresses that may call; empty: all. @throws WecomRefusal 60020 */
export function requireAddress(allowed: readonly string[], address: string): void {
  if (allowed.length > 0 && !allowed.includes(address)) throw new WecomRefusal(60020);
}
