import { credentials, makeGenericClientConstructor, status as STATUS } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { loadV2Definition } from '../../src/serving/grpc-messages.js';
import { eventually, type Reply, rawRequest, type Stream, startV2, stopAll } from './grpc-support.js';

afterEach(stopAll);

/** Collects a stream: its replies, and the status with which it ended. */
function collect(stream: Stream): { replies: Reply[]; ids: () => string[]; ended: Promise<number> } {
  const replies: Reply[] = [];
  stream.on('data', (reply: Reply) => replies.push(reply));
  stream.on('error', () => {});
  const ended = new Promise<number>((resolve) => stream.on('status', (status) => resolve(status.code)));
  return { replies, ids: () => replies.map((reply) => reply.infer_response.id), ended };
}

describe('ModelStreamInfer', () => {
  it('answers every request once, in the order in which they are done, and says that it was the last', async () => {
    const { client } = await startV2();
    const stream = client.stream();
    const { replies, ids, ended } = collect(stream);
    for (const id of ['80ms', 'a', '40ms']) stream.write(rawRequest(id));
    stream.end();
    expect(await ended).toBe(STATUS.OK);
    expect(ids()).toEqual(['a', '40ms', '80ms']);
    expect(replies[0].error_message).toBe('');
    expect(replies[0].infer_response.parameters.triton_final_response.bool_param).toBe(true);
    expect([...replies[0].infer_response.raw_output_contents[0]]).toEqual([0, 0, 128, 63, 0, 0, 0, 64]);
  });

  it('gives errors as responses with the id of their request, and lives on', async () => {
    const { client } = await startV2();
    const stream = client.stream();
    const { replies, ended } = collect(stream);
    for (const id of ['UNAVAILABLE', 'throw', 'a']) stream.write(rawRequest(id));
    stream.write(rawRequest('empty', { raw_input_contents: [] }));
    stream.end();
    expect(await ended).toBe(STATUS.OK);
    const errors = Object.fromEntries(replies.map((reply) => [reply.infer_response.id, reply.error_message]));
    expect(errors).toEqual({
      UNAVAILABLE: 'as asked',
      throw: 'internal error',
      a: '',
      empty: "unable to find data for input tensor 'in' for model 'echo' in request.",
    });
  });

  it('answers each of any mix of requests exactly once, within its bound', async () => {
    const { client, models } = await startV2({ streamInFlightMax: 3 });
    let inFlight = 0;
    let inFlightPeak = 0;
    const infer = models.infer.bind(models);
    models.infer = (request, done) => {
      inFlight += 1;
      inFlightPeak = Math.max(inFlightPeak, inFlight);
      return infer(request, (...answer) => {
        inFlight -= 1;
        done(...answer);
      });
    };
    const kinds = fc.constantFrom('x', '1ms', '3ms', 'INTERNAL', 'broken');
    await fc.assert(
      fc.asyncProperty(fc.array(kinds, { maxLength: 30 }), async (ids) => {
        const stream = client.stream();
        const collected = collect(stream);
        for (const id of ids) stream.write(rawRequest(id, id === 'broken' ? { raw_input_contents: [] } : {}));
        stream.end();
        expect(await collected.ended).toBe(STATUS.OK);
        expect(collected.ids().sort()).toEqual([...ids].sort());
      }),
      { numRuns: 25 },
    );
    expect(inFlightPeak).toBeGreaterThan(0);
    // grpc-js may hand over messages that it had read before it was told to pause.
    expect(inFlightPeak).toBeLessThanOrEqual(3 + 1);
  });

  it('answers bytes that are no message with an error', async () => {
    const { server } = await startV2();
    const { ModelStreamInfer } = loadV2Definition();
    const bytes = (message: Buffer): Buffer => message;
    const definition = { ModelStreamInfer: { ...ModelStreamInfer, requestSerialize: bytes } };
    const Constructor = makeGenericClientConstructor(definition, 'GRPCInferenceService');
    const client = new Constructor(`127.0.0.1:${server.port}`, credentials.createInsecure());
    const stream = client.ModelStreamInfer() as Stream;
    const { replies, ended } = collect(stream);
    stream.write(Buffer.from([0x0a, 0xff]) as never);
    stream.end();
    expect(await ended).toBe(STATUS.OK);
    expect(replies[0].error_message).toBe('the request is not a message of the protocol');
    client.close();
  });

  it('cancels with the models what the client leaves behind', async () => {
    const { client, models, server } = await startV2();
    const stream = client.stream();
    const { ended } = collect(stream);
    for (let i = 0; i < 3; i++) stream.write(rawRequest('hold'));
    await eventually(() => models.held.length === 3);
    stream.cancel();
    expect(await ended).toBe(STATUS.CANCELLED);
    await eventually(() => models.cancelled === 3);
    await eventually(() => server.stats().callsOpen === 0);
  });

  it('answers what it has when the server drains, then ends', async () => {
    const { client, models, server } = await startV2();
    const stream = client.stream();
    const { ids, ended } = collect(stream);
    stream.write(rawRequest('hold'));
    await eventually(() => models.held.length === 1);
    const closed = server.close(3_000);
    models.release();
    expect(await ended).toBe(STATUS.UNAVAILABLE);
    expect(ids()).toEqual(['hold']);
    await closed;
  });
});
