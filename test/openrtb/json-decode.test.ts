import { describe, expect, it } from 'vitest';
import { AuctionRequest, FORMAT, IMPS_MAX, type Imp, INVENTORY, packSize } from '../../src/contract/index.js';
import { decodeJson } from '../../src/openrtb/index.js';

const BANNER = 1 << FORMAT.banner;
const VIDEO = 1 << FORMAT.video;
const AUDIO = 1 << FORMAT.audio;
const NATIVE = 1 << FORMAT.native;

function decodeText(text: string): AuctionRequest | null {
  const into = new AuctionRequest();
  return decodeJson(Buffer.from(text), into) ? into : null;
}

function decode(value: unknown): AuctionRequest {
  const request = decodeText(JSON.stringify(value));
  if (request === null) throw new Error('malformed');
  return request;
}

const bid = (rest: object = {}) => ({ id: 'r', imp: [{ id: '1', banner: { w: 300, h: 250 } }], ...rest });
const imp = (fields: object): Imp => decode({ id: 'r', imp: [{ id: '1', ...fields }] }).imps[0];

describe('malformed bodies', () => {
  const cases: [string, string][] = [
    ['nothing', ''],
    ['a word', 'hello'],
    ['cut short', '{"id":"r","imp":[{"id":"1"}'],
    ['trailing text', '{"id":"r","imp":[{"id":"1"}]}x'],
    ['a number', '1'],
    ['null', 'null'],
    ['an array', '[]'],
    ['no id', '{"imp":[{"id":"1"}]}'],
    ['an empty id', '{"id":"","imp":[{"id":"1"}]}'],
    ['an object as id', '{"id":{},"imp":[{"id":"1"}]}'],
    ['an id too long to echo', `{"id":"${'a'.repeat(513)}","imp":[{"id":"1"}]}`],
    ['no imp', '{"id":"r"}'],
    ['imp null', '{"id":"r","imp":null}'],
    ['imp an object', '{"id":"r","imp":{"id":"1"}}'],
    ['imp empty', '{"id":"r","imp":[]}'],
    ['an imp without id', '{"id":"r","imp":[{"id":"1"},{"banner":{}}]}'],
    ['an imp that is null', '{"id":"r","imp":[null]}'],
    ['an imp that is a text', '{"id":"r","imp":["1"]}'],
    ['UTF-16', '\u0000{\u0000}'],
  ];
  it.each(cases)('%s', (_name, text) => {
    expect(decodeText(text)).toBeNull();
  });
});

describe('liberal in', () => {
  const cases: [string, object, (request: AuctionRequest) => unknown, unknown][] = [
    ['a number as id', bid({ id: 42 }), (r) => r.id, '42'],
    ['tmax as text', bid({ tmax: '120' }), (r) => r.tmaxMs, 120],
    ['tmax with a fraction', bid({ tmax: 99.9 }), (r) => r.tmaxMs, 99],
    ['a tmax below a millisecond is not "not said"', bid({ tmax: 0.5 }), (r) => r.tmaxMs, 1],
    ['tmax absent', bid(), (r) => r.tmaxMs, 0],
    ['tmax null', bid({ tmax: null }), (r) => r.tmaxMs, 0],
    ['tmax negative', bid({ tmax: -5 }), (r) => r.tmaxMs, 0],
    ['tmax of an hour', bid({ tmax: 3_600_000 }), (r) => r.tmaxMs, 60_000],
    ['tmax an object', bid({ tmax: {} }), (r) => r.tmaxMs, 0],
    ['at as text', bid({ at: '1' }), (r) => r.auctionType, 1],
    ['at absent is second price', bid(), (r) => r.auctionType, 2],
    ['at unknown is kept', bid({ at: 501 }), (r) => r.auctionType, 501],
    ['test as text', bid({ test: '1' }), (r) => r.test, true],
    ['test as boolean', bid({ test: true }), (r) => r.test, true],
    ['test 0', bid({ test: 0 }), (r) => r.test, false],
    ['currencies are upper-cased', bid({ cur: ['eur', 'USD', 7, null, ''] }), (r) => r.currencies, ['EUR', 'USD']],
    ['one currency without a list', bid({ cur: 'EUR' }), (r) => r.currencies, ['EUR']],
    ['no place', bid(), (r) => r.inventoryKind, INVENTORY.none],
    ['a site', bid({ site: { domain: 'News.Example' } }), (r) => [r.inventoryKind, r.inventory], [1, 'news.example']],
    ['an app', bid({ app: { bundle: 'Com.X' } }), (r) => [r.inventoryKind, r.inventory], [2, 'com.x']],
    ['a dooh', bid({ dooh: { domain: 'd.example' } }), (r) => [r.inventoryKind, r.inventory], [3, 'd.example']],
    ['app before site', bid({ site: { domain: 's' }, app: { bundle: 'a' } }), (r) => r.inventory, 'a'],
    ['a site that is a text is none', bid({ site: 'x' }), (r) => r.inventoryKind, 0],
    [
      'publisher and categories',
      bid({ site: { cat: ['IAB1', 3], publisher: { id: 'p' } } }),
      (r) => [r.publisherId, r.categories],
      ['p', ['IAB1']],
    ],
    ['language without region', bid({ device: { language: 'en-US' } }), (r) => r.language, 'en'],
    ['language upper case', bid({ device: { language: 'DE' } }), (r) => r.language, 'de'],
    ['langb of 2.6', bid({ device: { langb: 'pt_BR' } }), (r) => r.language, 'pt'],
    ['os in lower case', bid({ device: { os: 'iOS' } }), (r) => r.os, 'ios'],
    [
      'numbers of the device as text',
      bid({ device: { devicetype: '4', connectiontype: 2.0 } }),
      (r) => [r.deviceType, r.connectionType],
      [4, 2],
    ],
    [
      'region with its country',
      bid({ device: { geo: { country: 'usa', region: 'US-ca' } } }),
      (r) => [r.country, r.region],
      ['USA', 'CA'],
    ],
    [
      'geo of the user where the device has none',
      bid({ user: { geo: { country: 'FRA', utcoffset: 60 } } }),
      (r) => [r.country, r.utcOffsetMinutes],
      ['FRA', 60],
    ],
    ['an impossible UTC offset', bid({ device: { geo: { utcoffset: 5000 } } }), (r) => r.utcOffsetMinutes, Number.NaN],
    ['buyeruid first', bid({ user: { id: 'u', buyeruid: 'b' }, device: { ifa: 'i' } }), (r) => r.userId, 'b'],
    ['then the user id', bid({ user: { id: 'u' }, device: { ifa: 'i' } }), (r) => r.userId, 'u'],
    ['then the device', bid({ device: { ifa: 'i' } }), (r) => r.userId, 'i'],
    [
      'segments',
      bid({ user: { data: [{ segment: [{ id: 's1' }, { id: 2 }, null] }, null, { segment: [{ id: 's2' }] }] } }),
      (r) => r.segments,
      ['s1', 's2'],
    ],
    ['an over-long text counts as absent', bid({ site: { domain: 'x'.repeat(513) } }), (r) => r.inventory, ''],
    ['unknown fields', bid({ zzz: [1], ext: { a: { b: [] } } }), (r) => r.impCount, 1],
  ];
  it.each(cases)('%s', (_name, value, read, expected) => {
    expect(read(decode(value))).toEqual(expected);
  });

  it('skips a byte order mark', () => {
    expect(decodeText(`\ufeff${JSON.stringify(bid())}`)?.id).toBe('r');
  });

  it('reads on after bytes that are not UTF-8', () => {
    const body = Buffer.from(JSON.stringify(bid({ site: { name: 'caf#' } })));
    body[body.indexOf('#')] = 0xe9;
    expect(decodeJson(body, new AuctionRequest())).toBe(true);
  });
});

describe('privacy', () => {
  const who = { user: { id: 'u', data: [{ segment: [{ id: 's' }] }] }, device: { ifa: 'i', geo: { country: 'USA' } } };
  const cases: [string, object, string, string][] = [
    ['nothing said', {}, 'u', 'USA'],
    ['coppa hides the place too', { regs: { coppa: 1 } }, '', ''],
    ['lmt', { device: { ...who.device, lmt: 1 } }, '', 'USA'],
    ['gdpr in 2.6', { regs: { gdpr: 1 } }, '', 'USA'],
    ['gdpr in 2.5', { regs: { ext: { gdpr: '1' } } }, '', 'USA'],
    ['2.6 wins over 2.5', { regs: { gdpr: 0, ext: { gdpr: 1 } } }, 'u', 'USA'],
    ['us_privacy opted out', { regs: { us_privacy: '1YYN' } }, '', 'USA'],
    ['us_privacy of 2.5', { regs: { ext: { us_privacy: '1yyn' } } }, '', 'USA'],
    ['us_privacy not opted out', { regs: { us_privacy: '1YNN' } }, 'u', 'USA'],
    ['gpc', { regs: { ext: { gpc: '1' } } }, '', 'USA'],
  ];
  it.each(cases)('%s', (_name, rest, userId, country) => {
    const request = decode(bid({ ...who, ...rest }));
    expect([request.userId, request.country]).toEqual([userId, country]);
    expect(request.segments).toEqual(userId === '' ? [] : ['s']);
  });
});

describe('formats of an imp', () => {
  const mimes = ['video/mp4'];
  const native = (request: unknown) => ({ native: { request } });
  const assets = [{ id: 1, title: { len: 90 } }];
  const cases: [string, object, number][] = [
    ['none', {}, 0],
    ['a banner', { banner: { w: 300, h: 250 } }, BANNER],
    ['a banner as text', { banner: { w: '300', h: '250' } }, BANNER],
    ['a banner with a fraction', { banner: { w: 300.7, h: 250 } }, BANNER],
    ['a banner of any size', { banner: { pos: 1 } }, BANNER],
    ['a banner of 0 × 0 means any size', { banner: { w: 0, h: 0 } }, BANNER],
    ['an empty banner', { banner: {} }, 0],
    ['a banner without height', { banner: { w: 300 } }, 0],
    ['a banner of negative size', { banner: { w: -300, h: 250 } }, 0],
    ['a banner of absurd size', { banner: { w: 1e9, h: 1e9 } }, 0],
    ['a banner with broken formats only', { banner: { format: [{ w: 1 }, null] } }, 0],
    ['a banner with broken formats and a size', { banner: { format: [null], w: 1, h: 2 } }, BANNER],
    ['a banner whose formats are a text', { banner: { format: 'x' } }, 0],
    ['a banner that is an array', { banner: [] }, 0],
    ['a banner that is null', { banner: null }, 0],
    ['a video', { video: { mimes } }, VIDEO],
    ['a video without mimes', { video: { w: 640, h: 480 } }, 0],
    ['a video with empty mimes', { video: { mimes: [] } }, 0],
    ['a video with one mime as text', { video: { mimes: 'video/mp4' } }, VIDEO],
    ['a video that can have no length', { video: { mimes, minduration: 30, maxduration: 15 } }, 0],
    ['an audio', { audio: { mimes: ['audio/mp4'] } }, AUDIO],
    ['a native as text', native(JSON.stringify({ ver: '1.2', assets })), NATIVE],
    ['a native of 1.0', native(JSON.stringify({ native: { assets } })), NATIVE],
    ['a native as object', native({ assets }), NATIVE],
    ['a native without assets', native(JSON.stringify({ ver: '1.2' })), 0],
    ['a native that does not parse', native('{json string}'), 0],
    ['a native that is null in text', native('null'), 0],
    ['a native without request', { native: { ver: '1.2' } }, 0],
    ['a native request that is too large', native(JSON.stringify({ assets, x: 'x'.repeat(40_000) })), 0],
    ['all of them', { banner: { w: 1, h: 1 }, video: { mimes }, audio: { mimes }, ...native({ assets }) }, 30],
    ['one broken beside a good one', { banner: {}, video: { mimes } }, VIDEO],
  ];
  it.each(cases)('%s', (_name, fields, mask) => {
    expect(imp(fields).formatMask).toBe(mask);
  });
});

describe('fields of an imp', () => {
  const mimes = ['Video/MP4', 'video/webm'];
  const cases: [string, object, (imp: Imp) => unknown, unknown][] = [
    [
      'formats before w and h',
      {
        banner: {
          format: [
            { w: 1, h: 2 },
            { w: 3, h: 4 },
          ],
          w: 9,
          h: 9,
        },
      },
      (i) => i.bannerSizes,
      [packSize(1, 2), packSize(3, 4)],
    ],
    ['w and h', { banner: { w: 300, h: 250 } }, (i) => i.bannerSizes, [packSize(300, 250)]],
    ['any size', { banner: { pos: 3 } }, (i) => [i.bannerSizes, i.position], [[], 3]],
    ['at most 16 sizes', { banner: { format: Array(99).fill({ w: 1, h: 1 }) } }, (i) => i.bannerSizes.length, 16],
    ['mimes in lower case', { video: { mimes } }, (i) => i.videoMimes, ['video/mp4', 'video/webm']],
    [
      'the player',
      { video: { mimes, w: '640', h: 480, pos: 7 } },
      (i) => [i.videoWidth, i.videoHeight, i.position],
      [640, 480, 7],
    ],
    [
      'lengths',
      { video: { mimes, minduration: '5', maxduration: 30 } },
      (i) => [i.durationSecondsMin, i.durationSecondsMax],
      [5, 30],
    ],
    ['no lengths', { video: { mimes } }, (i) => [i.durationSecondsMin, i.durationSecondsMax], [0, 0]],
    [
      'exact lengths',
      { video: { mimes, rqddurs: [15, 30], maxduration: 60 } },
      (i) => [i.durationSecondsMin, i.durationSecondsMax],
      [15, 15],
    ],
    ['the length of a pod', { video: { mimes, poddur: 90 } }, (i) => i.durationSecondsMax, 90],
    [
      'lengths that suit video and audio',
      { video: { mimes, maxduration: 30 }, audio: { mimes, minduration: 5, maxduration: 60 } },
      (i) => [i.durationSecondsMin, i.durationSecondsMax],
      [5, 30],
    ],
    ['interstitial', { instl: '1' }, (i) => i.interstitial, true],
    ['private auction', { pmp: { private_auction: 1 } }, (i) => i.privateAuction, true],
    ['open auction', { pmp: { private_auction: 0 } }, (i) => i.privateAuction, false],
    ['floor currency', { bidfloor: 1, bidfloorcur: 'eur' }, (i) => i.floorCurrency, 'EUR'],
    ['floor currency absent', { bidfloor: 1 }, (i) => i.floorCurrency, 'USD'],
    ['floor currency null', { bidfloor: 1, bidfloorcur: null }, (i) => i.floorCurrency, 'USD'],
  ];
  it.each(cases)('%s', (_name, fields, read, expected) => {
    expect(read(imp(fields))).toEqual(expected);
  });
});

describe('floors', () => {
  const cases: [string, number][] = [
    ['0', 0],
    ['0.03', 30_000],
    ['1.005', 1_005_000],
    ['0.1', 100_000],
    ['2.675', 2_675_000],
    ['1.234567', 1_234_567],
    ['1.2345671', 1_234_568],
    ['0.0000001', 1],
    ['"1.5"', 1_500_000],
    ['" 1.5 "', 1_500_000],
    ['-1', 0],
    ['null', 0],
    ['"abc"', 0],
    ['{}', 0],
    ['true', 0],
    ['1e999', 1e12],
    ['1e300', 1e12],
    ['999999.999999', 999_999_999_999],
    ['1e-400', 0],
  ];
  it.each(cases)('%s is %i micros', (text, micros) => {
    const request = decodeText(`{"id":"r","imp":[{"id":"1","bidfloor":${text}}]}`);
    expect(request?.imps[0].floorMicros).toBe(micros);
  });
});

describe('floors of video and audio (7.11): never too low for any length that may be bid', () => {
  const video = (fields: object) => imp({ bidfloor: 0.5, video: { mimes: ['video/mp4'], ...fields } });
  it.each([
    ['mincpmpersec × the longest ad', { maxduration: 15, mincpmpersec: 1 }, 15_000_000],
    ['the highest of durfloors', { durfloors: [{ mindur: 1, maxdur: 60, bidfloor: 9 }, { bidfloor: 4 }] }, 9_000_000],
    ['the floor of the imp where it is higher', { maxduration: 2, mincpmpersec: 0.1 }, 500_000],
  ])('%s', (_name, fields, floorMicros) => {
    expect(video(fields)).toMatchObject({ formatMask: VIDEO, floorMicros });
  });

  it('a floor per second without a longest ad makes the format unbiddable', () => {
    expect(video({ mincpmpersec: 1 })).toMatchObject({ formatMask: 0, floorMicros: 500_000 });
  });
});

describe('categories', () => {
  it('are those of the site, the page, the section and the content, so that an exclusion holds for each', () => {
    const site = { cat: ['IAB1'], pagecat: ['IAB25'], sectioncat: ['IAB2'], content: { cat: ['IAB26'] } };
    expect(decode(bid({ site })).categories).toEqual(['IAB1', 'IAB25', 'IAB2', 'IAB26']);
  });
});

describe('several imps', () => {
  it('bids on none of the imps that share an id', () => {
    const banner = { w: 1, h: 1 };
    const request = decode({
      id: 'r',
      imp: [
        { id: 'a', banner },
        { id: 'b', banner },
        { id: 'a', banner },
      ],
    });
    expect(request.imps.slice(0, 3).map((i) => i.formatMask)).toEqual([0, BANNER, 0]);
  });

  it('ignores imps beyond the limit, broken or not', () => {
    const imps: unknown[] = Array.from({ length: IMPS_MAX }, (_, i) => ({ id: `${i}`, banner: { w: 1, h: 1 } }));
    expect(decode({ id: 'r', imp: [...imps, null, 7] }).impCount).toBe(IMPS_MAX);
  });
});

describe('hostile bodies', () => {
  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])(
    'a key %s changes nothing',
    (key) => {
      const hostile = `{"${key}":{"id":"evil","imp":[{}],"tmax":7},"id":"r","imp":[{"${key}":{"banner":{}},"id":"1"}],"user":{"${key}":{"id":"x"}}}`;
      const request = decodeText(hostile);
      expect([request?.id, request?.tmaxMs, request?.userId, request?.imps[0].formatMask]).toEqual(['r', 0, '', 0]);
      expect(({} as Record<string, unknown>).tmax).toBeUndefined();
    },
  );

  it('an id from __proto__ alone is no id', () => {
    expect(decodeText('{"__proto__":{"id":"r","imp":[{"id":"1"}]}}')).toBeNull();
  });

  it('deep nesting is read or refused, without a stack overflow', () => {
    const depth = 200_000;
    expect(decodeText('['.repeat(depth))).toBeNull();
    const nested = `{"id":"r","imp":[{"id":"1"}],"ext":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`;
    expect(() => decodeText(nested)).not.toThrow();
    const native = JSON.stringify('['.repeat(30_000));
    expect(decodeText(`{"id":"r","imp":[{"id":"1","native":{"request":${native}}}]}`)?.imps[0].formatMask).toBe(0);
  });

  it('lone surrogates in an id survive', () => {
    expect(decodeText('{"id":"a\\ud800b","imp":[{"id":"\\udfff"}]}')?.id).toBe('a\ud800b');
  });
});
