import { type AdColumns, BANNER_SIZES_MAX, FORMAT, type Imp, packSize } from '../contract/index.js';
import { CLASS_COUNT, SHAPE_CLASSES_MAX, type ShapeClasses, type TextLinks } from './layout.js';
import type { TextReader } from './text-table.js';

const FORMATS = [FORMAT.banner, FORMAT.video, FORMAT.audio, FORMAT.native] as const;

/** Decides which shape classes, and of a class of rare shapes which ads, fit an imp. */
export class ShapeMatcher {
  /** The first `classCount` are those that fit the imp of the last `select`. */
  readonly classes = new Int32Array(CLASS_COUNT);
  classCount = 0;
  /** MIME type of each class; '' = not said. */
  private readonly mimeOfClass: string[] = [];

  constructor(
    private readonly shapes: ShapeClasses,
    private readonly ads: AdColumns,
    private readonly links: TextLinks,
    private readonly texts: TextReader,
  ) {
    for (let i = 0; i < shapes.classCount; i++) this.mimeOfClass.push(texts.read(shapes.mime[i]));
  }

  select(imp: Imp): void {
    this.classCount = 0;
    const { format, size, durationSeconds, classCount } = this.shapes;
    for (let i = 0; i < classCount; i++) {
      const fits =
        format[i] === FORMAT.banner
          ? fitsBanner(imp, size[i])
          : fitsPlayer(imp, format[i], durationSeconds[i], this.mimeOfClass[i]);
      if (fits) this.classes[this.classCount++] = i;
    }
    for (let i = 0; i < FORMATS.length; i++) {
      if (((imp.formatMask >> FORMATS[i]) & 1) !== 0) this.classes[this.classCount++] = SHAPE_CLASSES_MAX + FORMATS[i];
    }
  }

  /** Whether an ad of a class of rare shapes fits. */
  fitsAd(imp: Imp, ad: number): boolean {
    const { format, width, height, durationSeconds } = this.ads;
    if (format[ad] === FORMAT.banner) return fitsBanner(imp, packSize(width[ad], height[ad]));
    const mime = this.links.creativeMime[this.links.creativeOfAd[ad]];
    return fitsPlayer(imp, format[ad], durationSeconds[ad], mime === 0 ? '' : this.texts.read(mime));
  }
}

function fitsBanner(imp: Imp, size: number): boolean {
  if (((imp.formatMask >> FORMAT.banner) & 1) === 0) return false;
  const count = Math.min(imp.bannerSizes.length, BANNER_SIZES_MAX);
  for (let i = 0; i < count; i++) if (imp.bannerSizes[i] === size) return true;
  return count === 0;
}

/** Video, audio and native; a creative that does not say its MIME type is taken to fit. */
function fitsPlayer(imp: Imp, format: number, seconds: number, mime: string): boolean {
  if (((imp.formatMask >> format) & 1) === 0) return false;
  if (format === FORMAT.native) return true;
  if (seconds < imp.durationSecondsMin) return false;
  if (imp.durationSecondsMax !== 0 && seconds > imp.durationSecondsMax) return false;
  const mimes = format === FORMAT.video ? imp.videoMimes : imp.audioMimes;
  if (mime === '' || mimes.length === 0) return true;
  for (let i = 0; i < mimes.length; i++) if (mimes[i] === mime || mimes[i].toLowerCase() === mime) return true;
  return false;
}
