import { FORMAT, packSize } from '../contract/index.js';
import { newShared } from './growable.js';
import { CLASS_COUNT, SHAPE_CLASSES_MAX, type ShapeClasses } from './layout.js';
import type { RecordStore } from './store.js';

/** Sorts the shapes of creatives by how many ads have them, and gives each creative its class. */
export function classifyShapes(
  store: RecordStore,
  creativeOfAd: Uint32Array,
): { shapes: ShapeClasses; classOfCreative: Uint8Array } {
  const { creatives } = store;
  const shapeOfCreative = new Int32Array(creatives.count);
  const numbers = new Map<string, number>();
  /** One creative of each shape, to read the shape from. */
  const samples: number[] = [];
  for (let creative = 0; creative < creatives.count; creative++) {
    const key = shapeKey(store, creative);
    let shape = numbers.get(key);
    if (shape === undefined) {
      shape = samples.push(creative) - 1;
      numbers.set(key, shape);
    }
    shapeOfCreative[creative] = shape;
  }
  const adsOfShape = new Int32Array(samples.length);
  for (const creative of creativeOfAd) adsOfShape[shapeOfCreative[creative]]++;
  const common = samples.map((_, shape) => shape).filter((shape) => adsOfShape[shape] > 0);
  common.sort((a, b) => adsOfShape[b] - adsOfShape[a]);
  common.length = Math.min(common.length, SHAPE_CLASSES_MAX);

  const classOfShape = Uint8Array.from(samples, (creative) => SHAPE_CLASSES_MAX + creatives.format.get(creative));
  for (let i = 0; i < common.length; i++) classOfShape[common[i]] = i;
  const classOfCreative = Uint8Array.from(shapeOfCreative, (shape) => classOfShape[shape]);
  const shapes = describeClasses(
    store,
    common.map((shape) => samples[shape]),
  );
  return { shapes, classOfCreative };
}

/** Equal for creatives that fit the same imps. */
function shapeKey(store: RecordStore, creative: number): string {
  const { creatives } = store;
  const format = creatives.format.get(creative);
  if (format === FORMAT.banner) return `${format} ${creatives.width.get(creative)} ${creatives.height.get(creative)}`;
  if (format === FORMAT.native) return `${format}`;
  return `${format} ${creatives.durationSeconds.get(creative)} ${creatives.mime.get(creative)}`;
}

function describeClasses(store: RecordStore, creativeOfClass: number[]): ShapeClasses {
  const { creatives } = store;
  const column = () => newShared(Int32Array, CLASS_COUNT);
  const shapes = { classCount: creativeOfClass.length, format: column(), size: column(), durationSeconds: column() };
  const mime = column();
  creativeOfClass.forEach((creative, i) => {
    shapes.format[i] = creatives.format.get(creative);
    shapes.size[i] = packSize(creatives.width.get(creative), creatives.height.get(creative));
    shapes.durationSeconds[i] = creatives.durationSeconds.get(creative);
    mime[i] = creatives.mime.get(creative);
  });
  return { ...shapes, mime };
}
