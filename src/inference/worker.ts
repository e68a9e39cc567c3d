/**
 * The inference worker: one instance of one model, the one long-lived Piscina task of its thread. Waits for the
 * doorbell, runs the slab it names, posts the slab's number, waits again. Sessions cannot cross threads.
 */
import { receiveMessageOnPort } from 'node:worker_threads';
import type { InferenceSession } from 'onnxruntime-node';
import { OperatingError } from '../contract/index.js';
import { RowSession } from './row-session.js';
import { createSession } from './session.js';
import { TensorSession } from './tensor-session.js';
import {
  CONTROL,
  type MailedSlab,
  type WorkerMessage,
  type WorkerReady,
  type WorkerResult,
  type WorkerTask,
} from './worker-protocol.js';

/** Returns when told to stop, or at once when the model is refused. Any other error is a crash. */
export default async function work(task: WorkerTask): Promise<WorkerResult> {
  const { model, port } = task;
  const post = (message: WorkerMessage): void => port.postMessage(message);
  let session: InferenceSession | undefined;
  let rows: RowSession | null = null;
  let tensors: TensorSession | null = null;
  let readsSharedMemory = false;
  try {
    session = await createSession(model);
    const warmUps: { rows: number; runUs: number }[] = [];
    if (model.rows !== null) {
      rows = new RowSession(session, { name: model.name, ...model.rows }, model.rows.slabs);
      readsSharedMemory = await rows.readsSharedMemory();
      warmUps.push(...(await rows.warmUp(readsSharedMemory)));
    }
    if (model.tensors !== null) {
      tensors = new TensorSession(session, model.name, model.tensors);
      warmUps.push(...(await tensors.warmUp()));
    }
    const ready: WorkerReady = { kind: 'ready', readsSharedMemory, warmUps };
    post(ready);
  } catch (error) {
    await session?.release();
    if (!(error instanceof OperatingError)) throw error;
    return { code: error.code, fixedBy: error.fixedBy, message: error.message };
  }
  const control = new Int32Array(task.control);
  let rung = 0;
  let mailRead = 0;
  for (;;) {
    // Blocks the thread, which has nothing else to do: woken in 6–20 µs, where a message would take 30. Woken is not
    // rung: where the event loop is preempted between its add and its notify, the batch may be done already, and the
    // late notify wakes the wait after it. Only a changed doorbell names a batch.
    while (Atomics.load(control, CONTROL.doorbell) === rung) Atomics.wait(control, CONTROL.doorbell, rung);
    rung = Atomics.load(control, CONTROL.doorbell);
    if (Atomics.load(control, CONTROL.stop) === 1) break;
    for (; mailRead < Atomics.load(control, CONTROL.mail); mailRead++) {
      const { message } = receiveMessageOnPort(port) as { message: MailedSlab };
      tensors?.setSlab(message.slab, message.memory);
    }
    const slab = Atomics.load(control, CONTROL.slab);
    try {
      if (slab < model.rowSlabs) {
        await (rows as RowSession).run((rows as RowSession).slabs[slab], readsSharedMemory);
        post(slab);
      } else {
        post((await (tensors as TensorSession).run(slab)) ?? slab);
      }
    } catch (error) {
      post({ kind: 'failed', slab, message: (error as Error).message });
    }
  }
  // At once: Piscina may give the thread to the next worker.
  await session.release();
  return null;
}
