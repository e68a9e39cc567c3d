/**
 * Chooses, batch by batch, between the local model and the remote one by what each was measured to take.
 *
 * Each side has a fitted line over the rows that are on that side once the batch is there: a fixed part (a round trip, a
 * doorbell), and a slope for its own rows and those in front of it. So one fit knows both the batch and the load, and a
 * remote with room to spare shows as one whose line is flat.
 */
import { CostModel } from '../cost-model.js';

export type Side = 'local' | 'remote';

/** Each side gets this many batches before the fits are asked; until then they take turns. */
const TRIALS_MIN = 8;
/**
 * One batch in 32 goes to the dearer side, so that both fits stay fresh (they remember about fifty batches) and a side
 * that has become faster is found again. A batch that would be late there by its prediction is not used for this.
 */
const EXPLORE = 1 / 32;

export class CostRouter {
  private readonly local = new SideLoad();
  private readonly remote = new SideLoad();

  /** @param random in [0, 1) */
  constructor(private readonly random: () => number) {}

  /** @param leftUs until the batch is worth nothing any more; Infinity = no deadline */
  choose(rows: number, leftUs: number): Side {
    const { local, remote } = this;
    if (local.trials < TRIALS_MIN || remote.trials < TRIALS_MIN) {
      return local.trials < remote.trials ? 'local' : 'remote';
    }
    const localUs = local.predictUs(rows);
    const remoteUs = remote.predictUs(rows);
    const cheaper = localUs <= remoteUs ? 'local' : 'remote';
    if (this.random() < EXPLORE && Math.max(localUs, remoteUs) < leftUs)
      return cheaper === 'local' ? 'remote' : 'local';
    return cheaper;
  }

  /** @returns the load it meets, for `ended` */
  began(side: Side, rows: number): number {
    return this[side].began(rows);
  }

  /** @param us what it took; NaN when it says nothing about the cost, such as a refused connection */
  ended(side: Side, rows: number, load: number, us: number): void {
    this[side].ended(rows, load, us);
  }
}

class SideLoad {
  trials = 0;
  private readonly cost = new CostModel();
  private rowsInFlight = 0;

  predictUs(rows: number): number {
    return this.cost.predictUs(this.rowsInFlight + rows);
  }

  began(rows: number): number {
    this.trials++;
    this.rowsInFlight += rows;
    return this.rowsInFlight;
  }

  ended(rows: number, load: number, us: number): void {
    this.rowsInFlight -= rows;
    if (!Number.isNaN(us)) this.cost.observe(load, us);
  }
}
