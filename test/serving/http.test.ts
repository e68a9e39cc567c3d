import http from 'node:http';
import { deflateSync, gunzipSync, inflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { binaryBody, bytesOf, gzipped, type Served, serve, strings } from './http-support.js';

interface Got {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

const agent = new http.Agent({ keepAlive: true });
afterAll(() => agent.destroy());

function ask(served: Served, method: string, path: string, body: string | Buffer = '', headers = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = http.request(`${served.url}${path}`, { method, headers, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    request.on('error', reject);
    request.end(body);
  });
}

const unknown = `{"error":"Request for unknown model: 'nix' is not found"}`;
const metadata =
  '{"name":"raw","versions":["3"],"platform":"identity","inputs":[{"name":"in","datatype":"FP32","shape":[-1,4]}],"outputs":[{"name":"in","datatype":"FP32","shape":[-1,4]}]}';

/** method, path, body → status, text ('' = no body) */
const ROUTES: readonly (readonly [string, string, string, number, string])[] = [
  ['GET', '/v2', '', 200, '{"name":"triton","version":"9.9.9","extensions":["binary_tensor_data"]}'],
  ['GET', '/v2?x=1', '', 200, '{"name":"triton","version":"9.9.9","extensions":["binary_tensor_data"]}'],
  ['GET', '/v2/', '', 200, '{"name":"triton","version":"9.9.9","extensions":["binary_tensor_data"]}'],
  ['GET', '/v2/health/live', '', 200, ''],
  ['GET', '/v2/health/ready', '', 200, ''],
  ['POST', '/v2/health/ready', '', 405, '{"error":"Method Not Allowed"}'],
  ['GET', '/v2/models/raw', '', 200, metadata],
  ['GET', '/v2/models/raw/versions/3', '', 200, metadata],
  ['GET', '/v2/models/a%20b%2Fc/config', '', 200, '{"name":"a b/c","platform":"identity","max_batch_size":8}'],
  ['GET', '/v2/models/%ff', '', 404, '{"error":"Not Found"}'],
  ['GET', '/v2/models/nix', '', 404, unknown],
  ['GET', '/v2/models/nix/ready', '', 400, unknown],
  ['GET', '/v2/models/raw/versions/3/ready', '', 200, ''],
  ['GET', '/v2/models/raw/versions/abc', '', 404, '{"error":"Not Found"}'],
  ['GET', '/v2/models/raw/versions', '', 404, '{"error":"Not Found"}'],
  ['GET', '/v2/models/raw/stats', '', 200, '{"model_stats":[{"name":"raw","version":"3"}]}'],
  ['GET', '/v2/models/raw/versions/2/stats', '', 200, '{"model_stats":[{"name":"raw","version":"2"}]}'],
  ['GET', '/v2/models/stats', '', 200, '{"model_stats":[{"name":"echo","version":"3"},{"name":"slow","version":"3"}]}'],
  ['GET', '/v2/models/echo/infer', '', 405, '{"error":"Method Not Allowed"}'],
  ['GET', '/v2/repository/index', '', 405, '{"error":"Method Not Allowed"}'],
  [
    'POST',
    '/v2/repository/index',
    '',
    200,
    '[{"name":"echo","version":"3","state":"READY"},{"name":"gone","state":"UNAVAILABLE","reason":"unloaded"}]',
  ],
  ['POST', '/v2/repository/index', '{"ready":true}', 200, '[{"name":"echo","version":"3","state":"READY"}]'],
  ['POST', '/v2/repository/index', '{"ready":1}', 400, `{"error":"Unable to parse 'ready'"}`],
  ['POST', '/v2/repository/models/echo/load', '', 200, ''],
  ['POST', '/v2/repository/models/nix/load', '{}', 404, unknown],
  ['POST', '/v2/repository/models/echo/unload', '{"parameters":{"unload_dependents":true}}', 200, ''],
  ['GET', '/v2/systemsharedmemory/status', '', 200, '[]'],
  ['GET', '/v2/cudasharedmemory/region/x/status', '', 200, '[]'],
  ['POST', '/v2/systemsharedmemory/unregister', '', 200, ''],
  [
    'POST',
    '/v2/cudasharedmemory/region/x/register',
    '{}',
    501,
    '{"error":"shared memory is not supported: send tensors in the request"}',
  ],
  ['POST', '/v2/logging', '{}', 501, '{"error":"these settings are fixed by the server configuration"}'],
  ['GET', '/v2/models/nix/trace/setting', '', 404, unknown],
  ['GET', '/v3', '', 404, '{"error":"Not Found"}'],
];

describe.each(['uws', 'node'] as const)('v2 over HTTP on %s', (backend) => {
  let served: Served;
  beforeAll(async () => {
    served = await serve(backend);
  });
  afterAll(() => served.server.close(100));

  const infer = (json: object | string, model = 'echo', headers = {}): Promise<Got> =>
    ask(served, 'POST', `/v2/models/${model}/infer`, typeof json === 'string' ? json : JSON.stringify(json), headers);

  it.each(ROUTES)('%s %s %s', async (method, path, body, status, text) => {
    const got = await ask(served, method, path, body);
    expect([got.status, got.body.toString()]).toEqual([status, text]);
    if (text !== '') expect(got.headers['content-type']).toBe('application/json');
    if (status === 405) expect(got.headers.allow).toBeDefined();
  });

  it('tells trace and log settings, and HEAD without a body', async () => {
    const trace = await ask(served, 'GET', '/v2/trace/setting');
    expect(JSON.parse(trace.body.toString()).trace_level).toEqual(['OFF']);
    const log = await ask(served, 'GET', '/v2/logging');
    expect(JSON.parse(log.body.toString()).log_error).toBe(true);
    const head = await ask(served, 'HEAD', '/v2/health/live');
    expect([head.status, head.body.length]).toEqual([405, 0]);
  });

  it('is not ready with 400', async () => {
    served.models.isReady = false;
    expect((await ask(served, 'GET', '/v2/health/ready')).status).toBe(400);
    expect((await ask(served, 'GET', '/v2/models/echo/ready')).status).toBe(400);
    served.models.isReady = true;
  });

  it('loads with configuration and files, inside the model folder only', async () => {
    const load = (parameters: object): Promise<Got> =>
      ask(served, 'POST', '/v2/repository/models/echo/load', JSON.stringify({ parameters }));
    const model = Buffer.from([1, 2, 255, 0]);
    const config = '{"backend":"onnxruntime"}';
    expect((await load({ config, 'file:1/model.onnx': model.toString('base64') })).status).toBe(200);
    const { override } = served.models.loads.at(-1)!;
    expect(override?.config).toBe(config);
    expect([...(override?.files ?? [])]).toEqual([['1/model.onnx', model]]);
    for (const path of ['file:../x', 'file:/x', 'file:a//b', 'file:', 'file:a\\..\\b']) {
      expect((await load({ config, [path]: 'AAAA' })).status).toBe(400);
    }
    for (const value of ['AA*A', 'AAA', 'A', 7]) expect((await load({ config, 'file:x': value })).status).toBe(400);
  });

  it('gives JSON back for JSON, with id and every digit', async () => {
    const text =
      '{"id":"q1","inputs":[{"name":"a","datatype":"INT64","shape":[2],"data":[9007199254740993,-9223372036854775808]},' +
      '{"name":"b","datatype":"FP32","shape":[2,2],"data":[[1,0.1],[NaN,-Infinity]]},' +
      '{"name":"c","datatype":"BYTES","shape":[2],"data":["12345678901234567890","é\\"{NaN"]},' +
      '{"name":"d","datatype":"BOOL","shape":[2],"data":[true,false]}]}';
    const got = await infer(text);
    expect(got.body.toString()).toBe(
      '{"id":"q1","model_name":"echo","model_version":"3","outputs":[' +
        '{"name":"a","datatype":"INT64","shape":[2],"data":[9007199254740993,-9223372036854775808]},' +
        '{"name":"b","datatype":"FP32","shape":[2,2],"data":[1.0,0.10000000149011612,NaN,-Infinity]},' +
        '{"name":"c","datatype":"BYTES","shape":[2],"data":["12345678901234567890","é\\"{NaN"]},' +
        '{"name":"d","datatype":"BOOL","shape":[2],"data":[true,false]}]}',
    );
    expect(got.headers['content-type']).toBe('application/json');
    expect(got.headers['inference-header-content-length']).toBeUndefined();
  });

  it('mixes JSON and binary inputs, and JSON and binary outputs', async () => {
    const floats = bytesOf(new Float32Array([1.5, -2]));
    const { body, headers } = binaryBody(
      {
        inputs: [
          { name: 'a', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } },
          { name: 'j', datatype: 'INT32', shape: [1], data: [7] },
          { name: 't', datatype: 'BYTES', shape: [1, 2], parameters: { binary_data_size: 11 } },
        ],
        outputs: [{ name: 'a', parameters: { binary_data: true } }, { name: 'j' }, { name: 't' }],
        parameters: { priority: 2, timeout: 5000, sequence_id: 4, sequence_start: true, mine: 'x' },
      },
      floats,
      strings('abc', ''),
    );
    const got = await ask(served, 'POST', '/v2/models/echo/versions/3/infer?q', body, headers);
    expect(got.status).toBe(200);
    expect(got.headers['content-type']).toBe('application/octet-stream');
    const jsonBytes = Number(got.headers['inference-header-content-length']);
    const json = JSON.parse(got.body.subarray(0, jsonBytes).toString());
    expect(json.outputs.map((output: { data: unknown }) => output.data)).toEqual([undefined, [7], ['abc', '']]);
    expect(json.outputs[0].parameters).toEqual({ binary_data_size: 8 });
    expect(got.body.subarray(jsonBytes)).toEqual(floats);
    const seen = served.models.seen.at(-1)!;
    expect(seen).toMatchObject({ version: '3', priority: 2, timeoutUs: 5000, outputs: ['a', 'j', 't'] });
    expect(seen.parameters).toEqual({ sequence_id: 4, sequence_start: true, mine: 'x' });
  });

  it('sends all outputs binary when asked, FP16 as it came', async () => {
    const half = Buffer.from([1, 2, 3, 4]);
    const { body, headers } = binaryBody(
      {
        inputs: [{ name: 'h', datatype: 'FP16', shape: [2], parameters: { binary_data_size: 4 } }],
        parameters: { binary_data_output: true },
      },
      half,
    );
    const got = await ask(served, 'POST', '/v2/models/echo/infer', body, headers);
    expect(got.body.subarray(Number(got.headers['inference-header-content-length']))).toEqual(half);
    const asJson = binaryBody(
      { inputs: [{ name: 'h', datatype: 'FP16', shape: [2], parameters: { binary_data_size: 4 } }] },
      half,
    );
    const refused = await ask(served, 'POST', '/v2/models/echo/infer', asJson.body, asJson.headers);
    expect([refused.status, refused.body.toString()]).toEqual([
      400,
      expect.stringContaining('sending FP16 data via JSON'),
    ]);
  });

  it('reads binary tensors at any alignment', async () => {
    for (const name of ['a', 'ab', 'abc', 'abcd', 'abcde', 'abcdef', 'abcdefg', 'abcdefgh']) {
      const { body, headers } = binaryBody(
        { inputs: [{ name, datatype: 'INT64', shape: [1], parameters: { binary_data_size: 8 } }] },
        bytesOf(new BigInt64Array([-5n])),
      );
      const got = await ask(served, 'POST', '/v2/models/echo/infer', body, headers);
      expect(JSON.parse(got.body.toString()).outputs).toEqual([{ name, datatype: 'INT64', shape: [1], data: [-5] }]);
    }
  });

  it('takes a raw body as the only input', async () => {
    const raw = { 'inference-header-content-length': '0' };
    const floats = bytesOf(new Float32Array([1, 2, 3, 4]));
    const got = await ask(served, 'POST', '/v2/models/raw/infer', floats, raw);
    expect(got.body.subarray(Number(got.headers['inference-header-content-length']))).toEqual(floats);
    expect(served.models.seen.at(-1)!.inputs[0].shape).toEqual([1, 4]);
    const text = await ask(served, 'POST', '/v2/models/text/infer', 'hello', raw);
    expect(text.body.subarray(Number(text.headers['inference-header-content-length']))).toEqual(strings('hello'));
    expect((await ask(served, 'POST', '/v2/models/raw/infer', floats.subarray(1), raw)).status).toBe(400);
    expect((await ask(served, 'POST', '/v2/models/echo/infer', floats, raw)).status).toBe(400);
  });

  it('classifies row by row', async () => {
    const got = await infer({
      inputs: [{ name: 'a', datatype: 'FP32', shape: [2, 3], data: [0.25, 0.5, -1, 3, 1, 2] }],
      outputs: [{ name: 'a', parameters: { classification: 2 } }],
    });
    expect(JSON.parse(got.body.toString()).outputs).toEqual([
      {
        name: 'a',
        datatype: 'BYTES',
        shape: [2, 2],
        data: ['0.500000:1', '0.250000:0', '3.000000:0', '2.000000:2'],
      },
    ]);
  });

  it('reads and writes gzip and deflate, and refuses what opens too wide', async () => {
    const data = Array.from({ length: 1000 }, (_, i) => i);
    const json = JSON.stringify({ inputs: [{ name: 'a', datatype: 'INT32', shape: [1000], data }] });
    const plain = await ask(served, 'POST', '/v2/models/echo/infer', json, { 'accept-encoding': 'br' });
    expect(plain.headers['content-encoding']).toBeUndefined();
    const gzip = await ask(served, 'POST', '/v2/models/echo/infer', gzipped(json), {
      'content-encoding': 'gzip',
      'accept-encoding': 'gzip;q=0.5, deflate',
    });
    expect(gzip.headers['content-encoding']).toBe('deflate');
    expect(inflateSync(gzip.body)).toEqual(plain.body);
    const deflated = await ask(served, 'POST', '/v2/models/echo/infer', deflateSync(json), {
      'content-encoding': 'deflate',
      'accept-encoding': 'gzip, deflate',
    });
    expect(deflated.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(deflated.body)).toEqual(plain.body);

    const bomb = gzipped(Buffer.alloc(5 * 1024 * 1024));
    expect((await infer('', 'echo', { 'content-encoding': 'gzip' })).status).toBe(400);
    const wide = await ask(served, 'POST', '/v2/models/echo/infer', bomb, { 'content-encoding': 'gzip' });
    expect(wide.body.toString()).toContain('decompressed request body must be <= 4194304 bytes');
    expect((await infer(json, 'echo', { 'content-encoding': 'br' })).status).toBe(501);
  });

  it.each([
    ['INVALID_ARG', 400],
    ['NOT_FOUND', 404],
    ['ALREADY_EXISTS', 400],
    ['UNAVAILABLE', 503],
    ['UNSUPPORTED', 501],
    ['INTERNAL', 500],
  ])('answers %s with %i', async (id, status) => {
    const got = await infer({ id, inputs: [] }, 'bad');
    expect([got.status, got.body.toString()]).toEqual([status, `{"error":"failed with ${id}"}`]);
  });

  it('tells a client nothing of a bug, and the log everything', async () => {
    const got = await infer({ inputs: [] }, 'bug');
    expect([got.status, got.body.toString()]).toEqual([500, '{"error":"internal error"}']);
    expect(served.log.errors).toHaveLength(1);
  });

  it('cancels what nobody waits for', async () => {
    const body = JSON.stringify({ inputs: [] });
    const request = http.request(`${served.url}/v2/models/slow/infer`, { method: 'POST' });
    request.on('error', () => {});
    request.end(body);
    await expect.poll(() => served.models.seen.at(-1)?.model).toBe('slow');
    request.destroy();
    await expect.poll(() => served.models.cancelled).toBe(1);
    served.models.release();
    expect(served.server.stats()).toMatchObject({ requestsOpen: 0, bodyBytesHeld: 0, handlerErrors: 0 });
  });
});
