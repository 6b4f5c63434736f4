import { sharedBucket } from './token-bucket';

/** Keeps the calls to one path of a directory at a polite pace. */
export interface CallPace {
  /**
   * Takes one call's place.
   * @param key names directory, app and path, never a secret
   * @returns milliseconds to wait before making the call
   */
  take(key: string, perMinute: number): Promise<number>;
}

/** The pace of this process alone. */
export const processPace: CallPace = {
  take: async (key, perMinute) => sharedBucket(key, perMinute).take(),
};
