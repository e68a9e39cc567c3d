import type { CatalogSnapshot } from './contract/index.js';
import type { AdRows, FeatureProgram } from './features/index.js';

/** One catalog snapshot together with what each model has precomputed of its ads. Replaced as a whole on reload. */
export interface CatalogView {
  readonly snapshot: CatalogSnapshot;
  readonly pctrRows: AdRows;
  readonly pcvrRows: AdRows;
}

export function catalogView(snapshot: CatalogSnapshot, pctr: FeatureProgram, pcvr: FeatureProgram): CatalogView {
  return { snapshot, pctrRows: pctr.bind(snapshot.ads), pcvrRows: pcvr.bind(snapshot.ads) };
}
