/**
 * Checks a request against its model's configuration before it is queued, so that a bad request can never spoil the
 * batch it would have joined. The messages are Triton's: clients match on them. Hot: the good case allocates nothing.
 */
import { isUtf8 } from 'node:buffer';
import {
  DATA_TYPES,
  InferError,
  type InferRequest,
  type ModelConfig,
  type Tensor,
  type TensorConfig,
} from '../contract/index.js';

/**
 * Which row count the first dimension of an input is: none where the model does not batch, the batch's or the candidate
 * rows of a two-scope model, or the request rows of a two-scope model.
 */
type Scope = 'none' | 'rows' | 'request rows';

interface ExpectedInput {
  readonly config: TensorConfig;
  readonly scope: Scope;
  readonly isRequestIndex: boolean;
  /** Number of this input's last request that named it. */
  seenBy: number;
}

/** Checks the requests of one model version. */
export class RequestChecker {
  private readonly inputs = new Map<string, ExpectedInput>();
  private readonly outputs = new Map<string, { seenBy: number }>();
  private readonly requiredCount: number;
  /** 1 where a request's shape has a dimension that `dims` does not list. */
  private readonly batchDims: number;
  private requestNumber = 0;

  constructor(private readonly config: ModelConfig) {
    const { twoScope, maxBatchSize } = config;
    for (const input of config.inputs) {
      const isRows = twoScope === undefined ? maxBatchSize > 0 : !twoScope.requestInputs.includes(input.name);
      const scope: Scope = isRows ? 'rows' : twoScope === undefined ? 'none' : 'request rows';
      const isRequestIndex = input.name === twoScope?.requestIndexInput;
      this.inputs.set(input.name, { config: input, scope, isRequestIndex, seenBy: 0 });
    }
    for (const output of config.outputs) this.outputs.set(output.name, { seenBy: 0 });
    this.requiredCount = config.inputs.filter((input) => !input.optional).length;
    this.batchDims = maxBatchSize > 0 ? 1 : 0;
  }

  /**
   * @returns the rows the queue counts: the batch dimension, the candidate rows of a two-scope model, 1 where the model
   *   does not batch
   * @throws InferError INVALID_ARG
   */
  check(request: InferRequest): number {
    this.requestNumber++;
    this.checkOutputs(request);
    this.checkNames(request);
    const rows = this.countRows(request, 'rows', this.rowsMax);
    const requestRows = this.countRows(request, 'request rows', this.config.requestRowsMax);
    for (const tensor of request.inputs) {
      const input = this.inputs.get(tensor.name) as ExpectedInput;
      this.checkType(request, tensor, input.config);
      this.checkShape(request, tensor, input.config);
      this.checkBytes(request, tensor);
      if (input.isRequestIndex) this.checkRequestIndex(request, tensor, requestRows);
    }
    return rows < 0 ? 1 : rows;
  }

  private get rowsMax(): number {
    return this.config.twoScope === undefined ? this.config.maxBatchSize : this.config.candidateRowsMax;
  }

  private checkOutputs(request: InferRequest): void {
    for (const name of request.outputs) {
      const output = this.outputs.get(name);
      if (output === undefined) refuse(`unexpected inference output '${name}' for model '${this.config.name}'`);
      if (output.seenBy === this.requestNumber) refuseOf(request, `output '${name}' already exists in request`);
      output.seenBy = this.requestNumber;
    }
  }

  private checkNames(request: InferRequest): void {
    const count = request.inputs.length;
    if (count > this.inputs.size || count < this.requiredCount) refuseOf(request, this.wrongCount(request));
    let required = 0;
    for (const { name } of request.inputs) {
      const input = this.inputs.get(name);
      if (input === undefined) refuse(`unexpected inference input '${name}' for model '${this.config.name}'`);
      if (input.seenBy === this.requestNumber) refuseOf(request, `input '${name}' already exists in request`);
      input.seenBy = this.requestNumber;
      if (!input.config.optional) required++;
    }
    if (required < this.requiredCount) refuseOf(request, this.wrongCount(request));
  }

  /** Rows of all inputs of one scope, which must agree; −1 where the request has no such input. */
  private countRows(request: InferRequest, scope: Scope, rowsMax: number): number {
    const { name: model } = this.config;
    let rows = -1;
    for (const { name, shape } of request.inputs) {
      if ((this.inputs.get(name) as ExpectedInput).scope !== scope) continue;
      if (shape.length === 0) {
        refuseOf(request, `input '${name}' has no shape but model requires batch dimension for '${model}'`);
      }
      if (rows === -1) rows = shape[0];
      else if (shape[0] !== rows) {
        refuseOf(request, `input '${name}' batch size does not match other inputs for '${model}'`);
      }
    }
    if (rows > rowsMax) refuseOf(request, `inference request batch-size must be <= ${rowsMax} for '${model}'`);
    if (rows === 0) refuseOf(request, `inference request batch-size must be >= 1 for '${model}'`);
    return rows;
  }

  private checkType(request: InferRequest, { name, dataType }: Tensor, input: TensorConfig): void {
    if (dataType === input.dataType) return;
    const { name: model } = this.config;
    refuseOf(
      request,
      `inference input '${name}' data-type is '${dataType}', but model '${model}' expects '${input.dataType}'`,
    );
  }

  private checkShape(request: InferRequest, { name, shape }: Tensor, { dims }: TensorConfig): void {
    const { batchDims } = this;
    let isMatch = shape.length === dims.length + batchDims;
    for (let i = 0; i < shape.length; i++) {
      if (!Number.isSafeInteger(shape[i]) || shape[i] < 0) {
        const got = `for model '${this.config.name}', got ${dimensions(shape)}`;
        refuseOf(request, `All input dimensions should be specified for input '${name}' ${got}`);
      }
      const dim = i < batchDims ? -1 : dims[i - batchDims];
      if (dim !== -1 && dim !== shape[i]) isMatch = false;
    }
    if (isMatch) return;
    const expected = dimensions(batchDims === 1 ? [-1, ...dims] : dims);
    refuseOf(
      request,
      `unexpected shape for input '${name}' for model '${this.config.name}'. Expected ${expected}, got ${dimensions(shape)}. ${batchDims === 1 ? BATCH_DIMENSION_NOTE : ''}`,
    );
  }

  private checkBytes(request: InferRequest, tensor: Tensor): void {
    const { name, dataType, shape, bytes } = tensor;
    let elements = 1;
    for (let i = 0; i < shape.length; i++) elements *= shape[i];
    if (dataType === 'BYTES') {
      this.checkStrings(request, tensor, elements);
      return;
    }
    // A product too large for a double is no length of an array either, so rounding cannot make the two agree.
    if (bytes.length === elements * DATA_TYPES[dataType].bytes) return;
    const expectedBytes = exactProduct(shape) * BigInt(DATA_TYPES[dataType].bytes);
    const sizes = `Expected ${expectedBytes}, got ${bytes.length}`;
    refuseOf(request, `input byte size mismatch for input '${name}' for model '${this.config.name}'. ${sizes}`);
  }

  private checkStrings(request: InferRequest, { name, shape, bytes }: Tensor, elements: number): void {
    const where = () => `inference input '${name}' for model '${this.config.name}'`;
    const mustBeUtf8 = this.config.backend === 'onnxruntime';
    let at = 0;
    let seen = 0;
    while (at < bytes.length) {
      const left = bytes.length - at;
      if (left < LENGTH_BYTES) {
        refuseOf(
          request,
          `incomplete string length indicator for ${where()}, expecting ${LENGTH_BYTES} bytes but only ${left} bytes available. Please make sure the string length indicator is in one buffer.`,
        );
      }
      if (++seen > elements) {
        refuseOf(
          request,
          `unexpected number of string elements ${seen} for ${where()}, expecting ${exactProduct(shape)}`,
        );
      }
      const start = at + LENGTH_BYTES;
      const end = start + uint32At(bytes, at);
      if (end > bytes.length) {
        const lengths = `is ${end - start} bytes long, but only ${bytes.length - start} bytes are left`;
        refuseOf(request, `string element ${seen - 1} of ${where()} ${lengths}`);
      }
      // The runtime decodes its strings: bytes that are no text would come out as other bytes.
      if (mustBeUtf8 && !isText(bytes, start, end)) {
        refuseOf(request, `string element ${seen - 1} of ${where()} is not valid UTF-8`);
      }
      at = end;
    }
    if (seen !== elements) {
      refuseOf(request, `expected ${exactProduct(shape)} string elements for ${where()}, got ${seen}`);
    }
  }

  private checkRequestIndex(request: InferRequest, { name, bytes }: Tensor, requestRows: number): void {
    for (let at = 0; at < bytes.length; at += 4) {
      const row = uint32At(bytes, at) | 0;
      if (row >= 0 && row < requestRows) continue;
      refuseOf(
        request,
        `inference input '${name}' for model '${this.config.name}' has value ${row} at row ${at / 4}, but the request has ${Math.max(requestRows, 0)} request rows`,
      );
    }
  }

  private wrongCount(request: InferRequest): string {
    const { inputs, name } = this.config;
    const got = request.inputs.map((input) => `'${input.name}'`).join(',');
    const missing = inputs
      .filter((input) => !input.optional && !request.inputs.some((given) => given.name === input.name))
      .map((input) => `'${input.name}'`)
      .join(',');
    const expected =
      inputs.length === this.requiredCount
        ? `expected ${inputs.length} inputs`
        : `expected number of inputs between ${this.requiredCount} and ${inputs.length}`;
    return (
      `${expected} but got ${request.inputs.length} inputs for model '${name}'. Got input(s) [${got}],` +
      ` but missing required input(s) [${missing}]. Please provide all required input(s).`
    );
  }
}

/** Before each BYTES element: its length, little-endian. */
const LENGTH_BYTES = 4;

const BATCH_DIMENSION_NOTE =
  'NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each ' +
  'input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting ' +
  'max_batch_size to zero. See the model configuration docs for more info on max_batch_size.';

function uint32At(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

/** Most strings are ASCII, which a loop finds out without making a view. */
function isText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] > 0x7f) return isUtf8(bytes.subarray(start, end));
  return true;
}

function exactProduct(shape: readonly number[]): bigint {
  return shape.reduce((product, dimension) => product * BigInt(dimension), 1n);
}

function dimensions(shape: readonly number[]): string {
  return `[${shape.join(',')}]`;
}

function refuse(message: string): never {
  throw new InferError('INVALID_ARG', message);
}

/** Triton names the request in what it says about its tensors, though not in what it says about names. */
function refuseOf(request: InferRequest, message: string): never {
  refuse(`[request id: ${request.id === '' ? '<id_unknown>' : request.id}] ${message}`);
}
