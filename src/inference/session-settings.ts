/**
 * How a model's ONNX session is made: execution providers, threads, graph optimisation. A provider that is asked for and
 * not there refuses the model; it runs on the CPU instead only where its parameter `cpu_fallback` says so.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { listSupportedBackends } from 'onnxruntime-node';
import type { SessionSettings } from '../contract/index.js';
import type { RawConfig, Refuse } from './raw-config.js';

type Provider = SessionSettings['providers'][number];

/** Why ONNX Runtime on this machine cannot give a provider; null when it can. */
export type ProviderLack = (name: string) => string | null;

const GPU_PROVIDERS = ['cuda', 'tensorrt', 'webgpu'];
const CPU: Provider = { name: 'cpu', options: {} };

/** By `optimization.graph.level`; Triton's numbers. */
const GRAPH_OPTIMIZATION = new Map<number, SessionSettings['graphOptimization']>([
  [-1, 'basic'],
  [0, 'all'],
  [1, 'extended'],
  [2, 'all'],
]);

/** @throws OperatingError naming the field; VK_MODEL_PROVIDER (operator) when a provider is missing */
export function readSessionSettings(
  raw: RawConfig,
  parameters: Readonly<Record<string, string>>,
  refuse: Refuse,
  lack: ProviderLack = lackOfProvider,
): SessionSettings {
  const level = raw.optimization?.graph?.level ?? 0;
  const graphOptimization = GRAPH_OPTIMIZATION.get(level);
  if (graphOptimization === undefined) {
    throw refuse('optimization.graph.level', `${level} is not -1, 0, 1 or 2`);
  }
  return {
    providers: providers(raw, parameters.cpu_fallback === 'true', refuse, lack),
    graphOptimization,
    // One thread each: the instances are the parallelism, and ONNX Runtime's own threads would fight them for the cores.
    intraOpThreads: Number(parameters.intra_op_thread_count ?? 1),
    interOpThreads: Number(parameters.inter_op_thread_count ?? 1),
    executionMode: parameters.execution_mode === '1' ? 'parallel' : 'sequential',
  };
}

function providers(raw: RawConfig, mayFallBack: boolean, refuse: Refuse, lack: ProviderLack): Provider[] {
  const accelerators = raw.optimization?.execution_accelerators;
  const field = 'optimization.execution_accelerators';
  if (accelerators?.cpu_execution_accelerator.length) {
    throw refuse(
      `${field}.cpu_execution_accelerator`,
      'is not supported; there is no such provider in onnxruntime-node',
    );
  }
  const asked = accelerators?.gpu_execution_accelerator ?? [];
  const group = raw.instance_group.findIndex(({ kind }) => kind === 'KIND_GPU');
  if (group === -1 && asked.length === 0) return [CPU];
  const onCpu = raw.instance_group.findIndex(({ kind }) => kind === 'KIND_CPU');
  if (onCpu !== -1) {
    throw refuse(`instance_group[${onCpu}].kind`, 'KIND_CPU cannot be mixed with what asks for a GPU');
  }
  const options = deviceOptions(raw, refuse);
  const wanted = asked.map(({ name, parameters }, i) => {
    const own = `${field}.gpu_execution_accelerator[${i}]`;
    if (!GPU_PROVIDERS.includes(name)) {
      throw refuse(`${own}.name`, `'${name}' is not one of ${GPU_PROVIDERS.join(', ')}`);
    }
    // onnxruntime-node hands nothing but the device on to these providers.
    const { device_id: device, ...others } = parameters;
    const [unknown] = Object.keys(others);
    if (unknown !== undefined) throw refuse(`${own}.parameters["${unknown}"]`, `'${unknown}' is not 'device_id'`);
    if (device !== undefined && !/^\d{1,3}$/.test(device)) {
      throw refuse(`${own}.parameters["device_id"]`, `'${device}' is not a device number`);
    }
    return { name, options: device === undefined ? options : { deviceId: Number(device) }, path: own };
  });
  // What TensorRT leaves out of its engine runs on CUDA, as with Triton. WebGPU is for machines without CUDA.
  if (!wanted.some(({ name }) => name === 'cuda' || name === 'webgpu')) {
    wanted.push({ name: 'cuda', options, path: group === -1 ? field : `instance_group[${group}].kind` });
  }
  const usable = wanted.filter(({ name, path }) => {
    const reason = lack(name);
    if (reason === null) return true;
    if (mayFallBack) return false;
    throw refuse(path, `${reason}; or let it run on the CPU: parameter cpu_fallback "true"`, 'VK_MODEL_PROVIDER');
  });
  const chosen = usable.map(({ name, options: all }) => ({ name, options: all }));
  return mayFallBack ? [...chosen, CPU] : chosen;
}

/** One device per model: a session's settings are the same for all instances. */
function deviceOptions(raw: RawConfig, refuse: Refuse): Record<string, number> {
  const devices = new Set<number>();
  raw.instance_group.forEach(({ gpus }, i) => {
    for (const gpu of gpus) {
      devices.add(gpu);
      if (gpu < 0 || devices.size > 1) {
        throw refuse(`instance_group[${i}].gpus`, 'must name one device, the same in all groups');
      }
    }
  });
  const [device] = devices;
  return device === undefined ? {} : { deviceId: device };
}

/**
 * What ONNX Runtime was built for and what lies beside it. Whether the driver is there shows when the session is created;
 * its error is the model's then.
 */
function lackOfProvider(name: string): string | null {
  const backend = listSupportedBackends().find((each) => each.name === name);
  if (backend === undefined) {
    return `needs ONNX Runtime's provider '${name}', which onnxruntime-node does not have on ${process.platform}-${process.arch}`;
  }
  if (backend.bundled) return null;
  const library = `libonnxruntime_providers_${name}.so`;
  const home = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const directory = join(home, 'bin', 'napi-v6', process.platform, process.arch);
  if (existsSync(join(directory, library))) return null;
  return (
    `needs ONNX Runtime's provider '${name}', and ${library} is not in ${directory}. It is no part of the package: ` +
    'run `node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12` where the network ' +
    `allows it, and have an NVIDIA driver, CUDA 12 and cuDNN 9${name === 'tensorrt' ? ' and TensorRT 10' : ''} installed`
  );
}
