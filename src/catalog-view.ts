import type { Calibrator } from './calibration/index.js';
import type { CatalogSnapshot } from './contract/index.js';
import type { AdRows, FeatureProgram } from './features/index.js';

/** A model in a role of the bid path. */
export interface RoleModel {
  /** The engine's number of it. */
  readonly model: number;
  readonly program: FeatureProgram;
  readonly calibrator: Calibrator;
}

/**
 * One catalog snapshot, the models in their roles, and what each has precomputed of the ads. Replaced as a whole when
 * either is reloaded; a request keeps the one it started with.
 */
export interface CatalogView {
  readonly snapshot: CatalogSnapshot;
  readonly pctr: RoleModel;
  readonly pcvr: RoleModel;
  readonly pctrRows: AdRows;
  readonly pcvrRows: AdRows;
}

export function catalogView(snapshot: CatalogSnapshot, pctr: RoleModel, pcvr: RoleModel): CatalogView {
  const { ads } = snapshot;
  return { snapshot, pctr, pcvr, pctrRows: pctr.program.bind(ads), pcvrRows: pcvr.program.bind(ads) };
}
