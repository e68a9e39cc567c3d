import type { FormatName } from '../src/contract/index.js';

/** What a creative's markup is made of. */
export interface CreativeFacts {
  readonly id: string;
  readonly brand: string;
  readonly domain: string;
  readonly width: number;
  readonly height: number;
  readonly durationSeconds: number;
}

/** The markup that goes into `adm`: HTML, VAST 4 (video, audio) or native 1.2 JSON; every asset is https. */
export function markup(format: FormatName, creative: CreativeFacts): string {
  switch (format) {
    case 'banner':
      return bannerHtml(creative);
    case 'native':
      return nativeJson(creative);
    case 'video':
      return vast(creative, `type="video/mp4" width="${creative.width}" height="${creative.height}"`, 'mp4');
    case 'audio':
      return vast(creative, 'type="audio/mpeg" width="0" height="0"', 'mp3');
  }
}

function bannerHtml({ id, brand, domain, width, height }: CreativeFacts): string {
  return (
    `<a href="https://${domain}/lp?c=${id}" target="_blank" rel="noopener">` +
    `<img src="https://cdn.${domain}/${id}.jpg" width="${width}" height="${height}" alt="${brand}"></a>` +
    `<img src="https://cdn.${domain}/i?c=${id}&p=\${AUCTION_PRICE}" width="1" height="1" alt="">`
  );
}

function nativeJson({ id, brand, domain }: CreativeFacts): string {
  return JSON.stringify({
    ver: '1.2',
    link: { url: `https://${domain}/lp?c=${id}` },
    assets: [
      { id: 1, required: 1, title: { text: `${brand}: better every day` } },
      { id: 2, required: 1, img: { url: `https://cdn.${domain}/${id}.jpg`, w: 1200, h: 627 } },
      { id: 3, data: { value: brand } },
    ],
    eventtrackers: [{ event: 1, method: 1, url: `https://cdn.${domain}/i?c=${id}` }],
  });
}

function vast({ id, brand, domain, durationSeconds }: CreativeFacts, media: string, extension: string): string {
  const seconds = String(durationSeconds % 60).padStart(2, '0');
  const minutes = String(Math.floor(durationSeconds / 60)).padStart(2, '0');
  return (
    `<VAST version="4.2"><Ad id="${id}"><InLine><AdSystem>Vickrey</AdSystem><AdTitle>${brand}</AdTitle>` +
    `<AdServingId>${id}</AdServingId><Impression><![CDATA[https://cdn.${domain}/i?c=${id}]]></Impression>` +
    `<Creatives><Creative id="${id}"><UniversalAdId idRegistry="example">${id}</UniversalAdId><Linear>` +
    `<Duration>00:${minutes}:${seconds}</Duration><MediaFiles><MediaFile delivery="progressive" ${media}>` +
    `<![CDATA[https://cdn.${domain}/${id}.${extension}]]></MediaFile></MediaFiles><VideoClicks><ClickThrough>` +
    `<![CDATA[https://${domain}/lp?c=${id}]]></ClickThrough></VideoClicks></Linear></Creative></Creatives>` +
    '</InLine></Ad></VAST>'
  );
}
