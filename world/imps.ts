import { INVENTORY } from '../src/contract/index.js';
import { DEVICE } from './nouns.js';
import type { Place } from './places.js';
import type { Random } from './random.js';

type Wanted = 'banner' | 'video' | 'native' | 'audio';
const WANTED: readonly Wanted[] = ['banner', 'video', 'native', 'audio'];
const WANTED_ON_SITE = [77, 10, 12, 1];
const WANTED_IN_APP = [60, 21, 15, 4];
const WANTED_IN_STREET = [45, 55, 0, 0];
/** Log USD that publishers ask for a thousand impressions, before their own quality: about half the market price. */
const FLOOR_LOG = { banner: -0.9, video: 0.7, native: -0.4, audio: 0.2 };
const FLOOR_SPREAD = 0.4;
const NATIVE_REQUEST = JSON.stringify({
  ver: '1.2',
  context: 1,
  plcmttype: 1,
  assets: [
    { id: 1, required: 1, title: { len: 90 } },
    { id: 2, required: 1, img: { type: 3, wmin: 600, hmin: 315 } },
    { id: 3, required: 0, data: { type: 1, len: 25 } },
  ],
});

/** One imp of a request, as OpenRTB JSON. */
export function imp(number: number, where: Place, deviceType: number, countryValue: number, random: Random): object {
  const wanted = format(where, deviceType, random);
  const position = random.chance(0.75) ? where.position : random.pick([0, 1, 3]);
  const interstitial = wanted === 'banner' && where.kind === INVENTORY.app && position === 7;
  const also =
    wanted === 'banner' && !interstitial && random.chance(0.09) ? random.pick(['native', 'video'] as const) : '';
  const floor = Math.exp(FLOOR_LOG[wanted] + where.quality + countryValue + FLOOR_SPREAD * random.normal());
  return {
    id: String(number),
    ...formatObject(wanted, deviceType, position, interstitial, random),
    ...(also === '' ? {} : formatObject(also, deviceType, position, false, random)),
    ...(interstitial ? { instl: 1 } : {}),
    ...(random.chance(0.75) ? { bidfloor: Number(floor.toFixed(2)), bidfloorcur: 'USD' } : {}),
    secure: 1,
    tagid: `${where.publisherId}-${number}`,
  };
}

function format(where: Place, deviceType: number, random: Random): Wanted {
  if (deviceType === DEVICE.tv) return 'video';
  if (where.kind === INVENTORY.dooh) return WANTED[random.weighted(WANTED_IN_STREET)];
  return WANTED[random.weighted(where.kind === INVENTORY.site ? WANTED_ON_SITE : WANTED_IN_APP)];
}

function formatObject(
  wanted: Wanted,
  deviceType: number,
  position: number,
  interstitial: boolean,
  random: Random,
): object {
  switch (wanted) {
    case 'banner':
      return { banner: banner(deviceType, position, interstitial, random) };
    case 'video':
      return { video: video(deviceType, position, random) };
    case 'native':
      return { native: { request: NATIVE_REQUEST, ver: '1.2' } };
    case 'audio':
      return {
        audio: {
          mimes: ['audio/mpeg', 'audio/mp4'],
          minduration: 5,
          maxduration: random.pick([15, 30]),
          protocols: [2, 3, 7],
        },
      };
  }
}

const MOBILE_SIZES = [
  [320, 50],
  [300, 250],
  [336, 280],
];
const PAGE_SIZES = [
  [300, 250],
  [728, 90],
  [300, 600],
  [160, 600],
  [970, 250],
  [336, 280],
];

function banner(deviceType: number, position: number, interstitial: boolean, random: Random): object {
  if (interstitial)
    return {
      w: 320,
      h: 480,
      format: [
        { w: 320, h: 480 },
        { w: 300, h: 250 },
      ],
      pos: position,
    };
  const small = deviceType === DEVICE.phone;
  const sizes = random.sample(small ? MOBILE_SIZES : PAGE_SIZES, random.chance(0.55) ? 1 : 2 + random.below(2));
  const format = sizes.map(([w, h]) => ({ w, h }));
  return {
    ...(random.chance(0.5) ? format[0] : {}),
    format,
    ...(position === 0 ? {} : { pos: position }),
    ...(random.chance(0.3) ? { battr: [1, 6] } : {}),
  };
}

function video(deviceType: number, position: number, random: Random): object {
  const [w, h] =
    deviceType === DEVICE.tv
      ? [1920, 1080]
      : random.pick([
          [640, 360],
          [640, 480],
          [1280, 720],
        ]);
  return {
    mimes: ['video/mp4', 'video/webm'],
    minduration: 5,
    maxduration: random.pick([15, 30, 30, 60]),
    protocols: [2, 3, 5, 6, 7, 8],
    w,
    h,
    plcmt: random.pick([1, 2, 4]),
    playbackmethod: [2],
    ...(position === 0 ? {} : { pos: position }),
  };
}
