import type { AdColumns, AdTexts, AuctionRequest, CatalogSnapshot, Imp } from '../contract/index.js';
import type { CompiledCatalog } from './layout.js';
import { Query } from './query.js';
import { Scan } from './scan.js';
import { ShapeMatcher } from './shape-match.js';
import { TextReader } from './text-table.js';

// `find` runs to its end without yielding, so that one set of scratch arrays serves every snapshot of the thread.
const query = new Query();
const scan = new Scan();

/** A compiled catalog made readable. Making one costs nothing that grows with the catalog. */
export class Snapshot implements CatalogSnapshot {
  readonly ads: AdColumns;
  readonly counts: CatalogSnapshot['counts'];
  private readonly reader: TextReader;
  private readonly matcher: ShapeMatcher;

  constructor(
    readonly generation: number,
    private readonly compiled: CompiledCatalog,
  ) {
    this.ads = compiled.ads;
    this.counts = compiled.counts;
    this.reader = new TextReader(compiled.links.texts);
    this.matcher = new ShapeMatcher(compiled.index.shapes, compiled.ads, compiled.links, this.reader);
  }

  find(
    request: AuctionRequest,
    imp: Imp,
    hour: number,
    nowMs: number,
    out: Int32Array,
    offset: number,
    limit: number,
  ): number {
    this.matcher.select(imp);
    if (this.matcher.classCount === 0) return 0;
    query.read(this.compiled.index, request, hour);
    return scan.find(this.compiled, query, this.matcher, imp, nowMs, out, offset, limit);
  }

  texts(ad: number): AdTexts {
    const { links } = this.compiled;
    const lineItem = links.lineItemOfAd[ad];
    const creative = links.creativeOfAd[ad];
    const campaign = links.campaignOfLineItem[lineItem];
    const advertiser = links.advertiserOfCampaign[campaign];
    const categories = links.creativeCategories[creative] || links.advertiserCategories[advertiser];
    const read = (text: number) => this.reader.read(text);
    return {
      advertiserId: read(links.advertiserId[advertiser]),
      campaignId: read(links.campaignId[campaign]),
      lineItemId: read(links.lineItemId[lineItem]),
      creativeId: read(links.creativeId[creative]),
      advertiserDomains: [read(links.advertiserDomain[advertiser])],
      categories: this.list(categories).map(read),
      attributes: this.list(links.creativeAttributes[creative]),
      bundle: read(links.creativeBundle[creative]),
      markup: read(links.creativeMarkup[creative]),
    };
  }

  private list(at: number): number[] {
    const { lists } = this.compiled.links;
    return Array.from(lists.subarray(at + 1, at + 1 + lists[at]));
  }
}
