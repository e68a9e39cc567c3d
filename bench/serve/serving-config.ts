/** A configuration of the real server for the serving benches: everything on loopback, ports known beforehand. */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';

export interface ServingPorts {
  readonly http: number;
  readonly grpc: number;
}

export async function writeServingConfig(
  file: string,
  catalogDirectory: string,
  repository: string,
): Promise<ServingPorts> {
  const [http, grpc] = [await freePort(), await freePort()];
  const loopback = { host: '127.0.0.1', port: 0 };
  // JSON is YAML.
  const config = {
    http: loopback,
    grpc: { enabled: false },
    operations: { port: 0 },
    catalog: { directory: catalogDirectory },
    models: { repository },
    serving: { enabled: true, host: '127.0.0.1', http_port: http, grpc_port: grpc, metrics_port: 0 },
  };
  writeFileSync(file, JSON.stringify(config));
  return { http, grpc };
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      if (address === null || typeof address === 'string') throw new Error('a TCP socket has a port');
      probe.close(() => resolve(address.port));
    });
  });
}
