/** Ids of bid responses: a prefix that is unique to this process, handed in, and a counter. */
export class BidIdSource {
  private count = 0;

  /** @param prefix unique among the processes whose ids an exchange sees within a day; letters and digits */
  constructor(private readonly prefix: string) {}

  next(): string {
    this.count += 1;
    return this.prefix + this.count.toString(36);
  }
}
