/** The models in the roles of the bid path, with what belongs to each beside its graph: feature program, calibration. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CANDIDATES_MAX } from './bid-slot.js';
import { compileCalibration } from './calibration/index.js';
import type { RoleModel } from './catalog-view.js';
import { IMPS_MAX, type ModelSignature, OperatingError } from './contract/index.js';
import { compileProgram } from './features/index.js';
import type { RepositoryModel } from './inference/index.js';

type Companion = Omit<RoleModel, 'model'>;
type Served = readonly { readonly model: RepositoryModel; readonly handle: number }[];

export class RoleModels {
  pctr: RoleModel | null = null;
  pcvr: RoleModel | null = null;
  private readonly prepared = new WeakMap<RepositoryModel, Companion>();

  /** @param names by role */
  constructor(private readonly names: { readonly pctr: string; readonly pcvr: string }) {}

  isRole(name: string): boolean {
    return name === this.names.pctr || name === this.names.pcvr;
  }

  /**
   * @param known the repository's models
   * @throws OperatingError VK_MODEL_UNKNOWN (operator)
   */
  checkKnown(known: readonly string[]): void {
    for (const role of ['pctr', 'pcvr'] as const) {
      const name = this.names[role];
      if (known.includes(name)) continue;
      const message = `models.${role}: the repository has no model '${name}' (it has: ${known.join(', ') || 'none'})`;
      throw new OperatingError('VK_MODEL_UNKNOWN', 'operator', message);
    }
  }

  get areServed(): boolean {
    return this.pctr !== null && this.pcvr !== null;
  }

  /** @throws OperatingError VK_MODEL_UNKNOWN (operator) */
  both(): { readonly pctr: RoleModel; readonly pcvr: RoleModel } {
    const { pctr, pcvr, names } = this;
    if (pctr !== null && pcvr !== null) return { pctr, pcvr };
    const role = pctr === null ? 'pctr' : 'pcvr';
    throw new OperatingError('VK_MODEL_UNKNOWN', 'operator', `models.${role}: model '${names[role]}' is not loaded`);
  }

  /**
   * Reads what belongs to a version that is about to be loaded; undefined where no role uses the model.
   * @throws OperatingError VK_MODEL_CONFIG, VK_MODEL_FILE and what the compilers throw (model owner): the load is refused
   */
  prepare(model: RepositoryModel): ModelSignature | undefined {
    if (!this.isRole(model.name)) return undefined;
    // A request is never split over batches, so the largest one must fit into an empty batch.
    if (model.requestRowsMax < IMPS_MAX || model.candidateRowsMax < CANDIDATES_MAX) {
      const message = `${model.name}: a batch must hold ${IMPS_MAX} request rows and ${CANDIDATES_MAX} candidate rows at least`;
      throw new OperatingError('VK_MODEL_CONFIG', 'model owner', message);
    }
    const features = join(model.directory, 'features.json');
    const calibration = join(model.versionDirectory, 'calibration.json');
    const program = compileProgram(readJson(features), features);
    this.prepared.set(model, { program, calibrator: compileCalibration(readJson(calibration), calibration) });
    return program.signature;
  }

  /**
   * The versions of a model that answer from now on, the highest first.
   * @returns whether a role changed
   */
  serve(name: string, versions: Served): boolean {
    if (!this.isRole(name)) return false;
    const newest = [...versions].sort((a, b) => b.model.version - a.model.version)[0];
    const companion = newest && this.prepared.get(newest.model);
    const role = companion === undefined ? null : { ...companion, model: newest.handle };
    if (name === this.names.pctr) this.pctr = role;
    else this.pcvr = role;
    return true;
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OperatingError('VK_MODEL_FILE', 'model owner', `${file}: ${reason}`, [], { cause });
  }
}
