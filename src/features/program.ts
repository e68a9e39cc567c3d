import { combine32 } from '../base/index.js';
import type { AdColumns, BatchRows, ModelSignature, TensorData, TensorType } from '../contract/index.js';
import { adCode, type Column, hashColumn, ORIGIN, writeAdColumn, writeRequestColumn } from './column.js';
import type { SourceRow } from './source-row.js';

/** The columns of one tensor, in row order. */
export interface TensorProgram {
  /** Position in `ModelSignature.inputs`. */
  readonly input: number;
  readonly type: TensorType;
  readonly width: number;
  readonly columns: readonly Column[];
}

/**
 * A compiled feature program: writes the rows of one model straight into a batch. Hot: allocates nothing.
 *
 * Most candidate columns depend on the ad alone, so each ad's part is computed once per snapshot (`AdRows`) and copied;
 * only crosses with the request are computed per request.
 */
export class FeatureProgram {
  constructor(
    readonly signature: ModelSignature,
    readonly requestTensors: readonly TensorProgram[],
    readonly candidateTensors: readonly TensorProgram[],
  ) {}

  /** A store for the ad parts of `ads`; one per snapshot and program. */
  bind(ads: AdColumns): AdRows {
    return new AdRows(ads, this.candidateTensors);
  }

  /** Writes request row `requestRow` from `row`. */
  writeRequest(row: SourceRow, out: BatchRows, requestRow: number): void {
    for (let t = 0; t < this.requestTensors.length; t++) {
      const tensor = this.requestTensors[t];
      const data = out.inputs[tensor.input];
      const base = requestRow * tensor.width;
      for (let c = 0; c < tensor.columns.length; c++) {
        const column = tensor.columns[c];
        writeRequestColumn(column, row, data, base + column.position);
      }
    }
  }

  /**
   * Writes candidate rows [candidateRow, candidateRow + count) for `candidates[from … from + count)` and points them
   * at `requestRow`.
   */
  writeCandidates(
    row: SourceRow,
    adRows: AdRows,
    candidates: Int32Array,
    from: number,
    count: number,
    out: BatchRows,
    requestRow: number,
    candidateRow: number,
  ): void {
    if (count === 0) return;
    out.requestIndex.fill(requestRow, candidateRow, candidateRow + count);
    for (let i = 0; i < count; i++) adRows.ensure(candidates[from + i]);
    for (let t = 0; t < this.candidateTensors.length; t++) {
      const tensor = this.candidateTensors[t];
      const data = out.inputs[tensor.input];
      copyRows(adRows.data[t], data, tensor.width, candidates, from, count, candidateRow);
      for (let c = 0; c < tensor.columns.length; c++) {
        const column = tensor.columns[c];
        if (column.origin === ORIGIN.ad) continue;
        const at = candidateRow * tensor.width + column.position;
        if (column.origin === ORIGIN.request) repeatRequestColumn(column, row, data, at, tensor.width, count);
        else crossColumn(column, row, adRows.crossCodes[t][c], candidates, from, count, data, at, tensor.width);
      }
    }
  }
}

/** The ad-only part of every candidate row of one snapshot, computed at an ad's first use. */
export class AdRows {
  /** One array per candidate tensor, [ads, width]; the pages of ads that are never candidates are never touched. */
  readonly data: readonly TensorData[];
  /** Per tensor and column: the code of the ad's side of a cross, by ad; empty for other columns. */
  readonly crossCodes: readonly (readonly Uint32Array[])[];
  private readonly filled: Uint8Array;

  constructor(
    private readonly ads: AdColumns,
    private readonly tensors: readonly TensorProgram[],
  ) {
    this.filled = new Uint8Array(ads.count);
    this.crossCodes = tensors.map((t) =>
      t.columns.map((c) => new Uint32Array(c.origin === ORIGIN.cross ? ads.count : 0)),
    );
    this.data = tensors.map((t) =>
      t.type === 'float32' ? new Float32Array(ads.count * t.width) : new Int32Array(ads.count * t.width),
    );
  }

  ensure(ad: number): void {
    if (this.filled[ad] === 1) return;
    this.filled[ad] = 1;
    for (let t = 0; t < this.tensors.length; t++) {
      const { columns, width } = this.tensors[t];
      for (let c = 0; c < columns.length; c++) {
        const column = columns[c];
        if (column.origin === ORIGIN.ad)
          writeAdColumn(column, this.ads, ad, this.data[t], ad * width + column.position);
        else if (column.origin === ORIGIN.cross) this.crossCodes[t][c][ad] = adCode(column.secondSource, this.ads, ad);
      }
    }
  }
}

function copyRows(
  source: TensorData,
  target: TensorData,
  width: number,
  candidates: Int32Array,
  from: number,
  count: number,
  candidateRow: number,
): void {
  let at = candidateRow * width;
  for (let i = 0; i < count; i++) {
    const start = candidates[from + i] * width;
    for (let k = 0; k < width; k++) target[at++] = source[start + k];
  }
}

/** A request column inside a candidate tensor (single-scope models): computed once, written to every row. */
function repeatRequestColumn(
  column: Column,
  row: SourceRow,
  data: TensorData,
  at: number,
  width: number,
  count: number,
): void {
  writeRequestColumn(column, row, data, at);
  for (let i = 1; i < count; i++) {
    for (let k = 0; k < column.length; k++) data[at + i * width + k] = data[at + k];
  }
}

function crossColumn(
  column: Column,
  row: SourceRow,
  adCodes: Uint32Array,
  candidates: Int32Array,
  from: number,
  count: number,
  data: TensorData,
  at: number,
  width: number,
): void {
  const requestCode = row.codes[column.source];
  for (let i = 0; i < count; i++) {
    data[at + i * width] = hashColumn(column, combine32(requestCode, adCodes[candidates[from + i]]));
  }
}
