import { type ModelConfig, OperatingError } from '../../contract/index.js';

/** Reads `parameters` of config.pbtxt; every problem is an OperatingError VK_MODEL_CONFIG (model owner) that names one. */
export class Parameters {
  constructor(private readonly config: ModelConfig) {}

  /** A misspelt parameter is found here instead of silently having no effect. */
  allowOnly(names: readonly string[], prefix: string): void {
    for (const name of Object.keys(this.config.parameters)) {
      if (name.startsWith(prefix) && !names.includes(name)) {
        throw this.error(name, `unknown; there are ${names.join(', ')}`);
      }
    }
  }

  /** '' is the same as absent. */
  text(name: string): string {
    return this.config.parameters[name] ?? '';
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    const text = this.text(name);
    if (text === '') return fallback;
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw this.error(name, `'${text}' is not an integer between ${min} and ${max}`);
  }

  oneOf<T extends string>(name: string, fallback: T, values: readonly T[]): T {
    const text = this.text(name);
    if (text === '') return fallback;
    const value = values.find((candidate) => candidate === text);
    if (value !== undefined) return value;
    throw this.error(name, `'${text}' is none of ${values.join(', ')}`);
  }

  error(name: string, problem: string): OperatingError {
    const message = `model '${this.config.name}': parameter '${name}': ${problem}.`;
    return new OperatingError('VK_MODEL_CONFIG', 'model owner', message);
  }
}
