/** The same rows through `InferenceSession.run` with nothing around it: one session, one thread, one request a run. */
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { childArguments, serveParent, usage } from '../path/child.js';
import { MODEL, rankerRequests } from './ranker-requests.js';

export interface DirectArguments {
  readonly repository: string;
  readonly requests: number;
  readonly candidateCounts: readonly number[];
}

export interface DirectRound {
  readonly candidates: number;
  readonly runs: number;
}

export interface DirectResult {
  readonly cpuUsPerRequest: number;
  /** Scores of the first requests, base64 of little-endian float32. */
  readonly scores: readonly string[];
}

const { repository, requests, candidateCounts } = childArguments<DirectArguments>();
const session = await InferenceSession.create(join(repository, MODEL, '1', 'model.onnx'), {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  extra: { session: { intra_op: { allow_spinning: '0' } } },
});
const feedsBy = new Map(
  candidateCounts.map((candidates) => [
    candidates,
    rankerRequests(repository, requests, candidates).map((request) =>
      Object.fromEntries(request.map(({ name, type, shape, values }) => [name, new Tensor(type, values, shape)])),
    ),
  ]),
);

serveParent({}, async ({ candidates, runs }: DirectRound): Promise<DirectResult> => {
  const feeds = feedsBy.get(candidates)!;
  const scores: string[] = [];
  for (const feed of feeds) {
    const { data } = (await session.run(feed))[session.outputNames[0]];
    const { buffer, byteOffset, byteLength } = data as Float32Array;
    scores.push(Buffer.from(buffer, byteOffset, byteLength).toString('base64'));
  }
  const before = usage().cpuUs;
  for (let i = 0; i < runs; i++) await session.run(feeds[i % feeds.length]);
  return { cpuUsPerRequest: (usage().cpuUs - before) / runs, scores };
});
