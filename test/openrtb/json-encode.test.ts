import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AdTextSource, type AdTexts, AuctionRequest, type BidOffer, FORMAT } from '../../src/contract/index.js';
import { BidIdSource, BidResponseEncoder } from '../../src/openrtb/index.js';

const TEXTS: AdTexts = {
  advertiserId: 'a1',
  campaignId: 'c1',
  lineItemId: 'l1',
  creativeId: 'cr1',
  advertiserDomains: ['brand.example'],
  categories: ['IAB1'],
  attributes: [16],
  bundle: '',
  markup: '<a href="x">"</a>',
};

function source(generation: number, change: Partial<AdTexts> = {}): AdTextSource & { reads: number } {
  return {
    generation,
    reads: 0,
    texts(ad) {
      this.reads++;
      return { ...TEXTS, ...change, creativeId: `cr${ad}` };
    },
  };
}

function offer(change: Partial<BidOffer> = {}): BidOffer {
  const base = { impIndex: 0, ad: 1, priceMicros: 1_500_000, format: FORMAT.banner };
  return { ...base, width: 300, height: 250, durationSeconds: 0, ...change };
}

function requestOf(id: string, ...impIds: string[]): AuctionRequest {
  const request = new AuctionRequest();
  request.id = id;
  for (const impId of impIds) request.impAt(request.impCount++).id = impId;
  return request;
}

const encoderOf = () => new BidResponseEncoder({ seat: 'vickrey', ids: new BidIdSource('x') });
const encode = (request: AuctionRequest, offers: BidOffer[], texts: AdTextSource = source(1), encoder = encoderOf()) =>
  encoder.encode(request, offers, offers.length, texts, 'USD');

describe('BidResponseEncoder', () => {
  it('writes a whole response', () => {
    const video = offer({ impIndex: 1, ad: 2, format: FORMAT.video, width: 0, height: 0, durationSeconds: 15 });
    const constant = {
      adid: 'l1',
      cid: 'c1',
      adomain: ['brand.example'],
      cat: ['IAB1'],
      attr: [16],
      adm: TEXTS.markup,
    };
    expect(JSON.parse(encode(requestOf('r', 'i1', 'i2'), [offer(), video]))).toEqual({
      id: 'r',
      bidid: 'x1',
      cur: 'USD',
      seatbid: [
        {
          seat: 'vickrey',
          bid: [
            { id: 'x1-1', impid: 'i1', price: 1.5, ...constant, crid: 'cr1', w: 300, h: 250, mtype: 1 },
            { id: 'x1-2', impid: 'i2', price: 1.5, ...constant, crid: 'cr2', dur: 15, mtype: 2 },
          ],
        },
      ],
    });
  });

  it('leaves out what the ad does not have', () => {
    const bare = source(1, { advertiserDomains: [], categories: [], attributes: [], bundle: '' });
    const bid = JSON.parse(encode(requestOf('r', 'i'), [offer()], bare)).seatbid[0].bid[0];
    expect(Object.keys(bid)).toEqual(['id', 'impid', 'price', 'adid', 'cid', 'crid', 'adm', 'w', 'h', 'mtype']);
    const app = JSON.parse(encode(requestOf('r', 'i'), [offer()], source(1, { bundle: 'com.x' }))).seatbid[0].bid[0];
    expect(app.bundle).toBe('com.x');
  });

  it('encodes only the first offers of a pooled array', () => {
    const body = encoderOf().encode(requestOf('r', 'i'), [offer(), offer({ impIndex: 7 })], 1, source(1), 'USD');
    expect(JSON.parse(body).seatbid[0].bid.length).toBe(1);
  });

  it.each([
    [1, '0.000001'],
    [10, '0.00001'],
    [1_234_567, '1.234567'],
    [1_000_000, '1'],
    [100_000, '0.1'],
    [300_000, '0.3'],
    [999_999_999_999, '999999.999999'],
    [999_999_999_999_999, '999999999.999999'],
  ])('%i micros is %s', (priceMicros, text) => {
    expect(encode(requestOf('r', 'i'), [offer({ priceMicros })])).toContain(`"price":${text},`);
  });

  it('prices are exact to the micro', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999_999_999_999 }), (priceMicros) => {
        const text = /"price":([\d.]+),/.exec(encode(requestOf('r', 'i'), [offer({ priceMicros })]))?.[1] ?? '';
        const [whole, fraction = ''] = text.split('.');
        expect(fraction.length).toBeLessThanOrEqual(6);
        expect(BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, '0'))).toBe(BigInt(priceMicros));
      }),
    );
  });

  it('any text comes back as it was, lone surrogates included', () => {
    const text = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });
    fc.assert(
      fc.property(text, text, text, (id, impId, markup) => {
        const body = encode(requestOf(id, impId), [offer()], source(1, { markup, lineItemId: id }));
        // Over the wire it is UTF-8, which has no lone surrogates: they must have been escaped.
        const response = JSON.parse(Buffer.from(body).toString());
        const bid = response.seatbid[0].bid[0];
        expect([response.id, bid.impid, bid.adm, bid.adid]).toEqual([id, impId, markup, id]);
      }),
    );
  });

  it('renders an ad once per generation', () => {
    const encoder = encoderOf();
    const first = source(1);
    for (let i = 0; i < 5; i++) encode(requestOf('r', 'i'), [offer()], first, encoder);
    expect(first.reads).toBe(1);
  });

  it('never mixes the texts of two generations, in whatever order their requests finish', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 5 }))), (steps) => {
        const encoder = new BidResponseEncoder({ seat: 's', ids: new BidIdSource('x'), adsCachedMax: 3 });
        for (const [generation, ad] of steps) {
          const texts = source(generation, { markup: `generation ${generation}` });
          const bid = JSON.parse(encode(requestOf('r', 'i'), [offer({ ad })], texts, encoder)).seatbid[0].bid[0];
          expect([bid.adm, bid.crid]).toEqual([`generation ${generation}`, `cr${ad}`]);
        }
      }),
    );
  });

  it('gives every response another id', () => {
    const ids = new BidIdSource('n');
    expect(new Set(Array.from({ length: 1000 }, () => ids.next())).size).toBe(1000);
  });
});
