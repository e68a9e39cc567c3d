import type { BreakerState } from './circuit-breaker.js';

/** Why a call brought no outputs; all but `rejected` count against the remote. */
export const REMOTE_FAILURES = ['timeout', 'unavailable', 'invalid_answer', 'rejected', 'other'] as const;
export type RemoteFailure = (typeof REMOTE_FAILURES)[number];

/** Why a batch meant for the remote was not sent. */
type NotCalled = 'breaker_open' | 'saturated';

/** Counted since the model was loaded, in batches; the last three are as of now. */
interface Counts {
  routedRemote: number;
  routedLocal: number;
  calls: number;
  failures: Record<RemoteFailure, number>;
  notCalled: Record<NotCalled, number>;
  /** Meant for the remote and given to the local model. */
  fallbacks: number;
  /** Past their deadline, before a call or after one that failed. */
  late: number;
}

export interface RemoteStats extends Readonly<Counts> {
  readonly breaker: BreakerState;
  readonly breakerOpened: number;
  /** Calls. */
  readonly inFlight: number;
}

export function emptyStats(): Counts {
  return {
    routedRemote: 0,
    routedLocal: 0,
    calls: 0,
    failures: { timeout: 0, unavailable: 0, invalid_answer: 0, rejected: 0, other: 0 },
    notCalled: { breaker_open: 0, saturated: 0 },
    fallbacks: 0,
    late: 0,
  };
}
