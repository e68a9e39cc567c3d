/**
 * Time, handed in wherever it is needed so that tests and replays can choose it.
 *
 * `nowUs` is monotonic and for durations and deadlines; `epochMs` is the wall clock, for dayparts and flight dates only.
 */
export interface Clock {
  /** Microseconds since an arbitrary start, monotonic. */
  nowUs(): number;
  /** Milliseconds since 1970-01-01 UTC. */
  epochMs(): number;
}

export const systemClock: Clock = {
  nowUs: () => performance.now() * 1000,
  epochMs: () => Date.now(),
};
