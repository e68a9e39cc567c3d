import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';

/** One series of a family. `suffix` is for histogram parts (`_bucket`, `_sum`, `_count`). */
export interface Sample {
  readonly suffix?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric family as it stands at the moment of the scrape. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly Sample[];
}

export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

/**
 * The process's metrics: prom-client's process and Node.js defaults, plus families whose values are read from their
 * owners when a scrape asks for them.
 */
export class MetricsRegistry {
  private readonly registry = new Registry();
  private readonly readers: (() => readonly Family[])[] = [];
  private readonly families = new Map<string, Family>();

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** `read` is called once a scrape and returns the same families each time. */
  register(read: () => readonly Family[]): void {
    this.readers.push(read);
  }

  async exposition(): Promise<Exposition> {
    for (const read of this.readers) {
      for (const family of read()) {
        if (!this.families.has(family.name)) {
          this.registry.registerMetric(new ReadOnScrape(family.name, this.families) as unknown as Metric);
        }
        this.families.set(family.name, family);
      }
    }
    return { contentType: this.registry.contentType, body: await this.registry.metrics() };
  }
}

/** What prom-client's registry needs of a metric: a name and, when scraped, its values. */
class ReadOnScrape {
  constructor(
    readonly name: string,
    private readonly families: ReadonlyMap<string, Family>,
  ) {}

  async get() {
    const family = this.families.get(this.name);
    if (family === undefined) throw new Error(`metric family '${this.name}' was never read`);
    const values = family.samples.map((s) => ({
      metricName: `${this.name}${s.suffix ?? ''}`,
      labels: s.labels,
      value: s.value,
    }));
    return { name: this.name, help: family.help, type: family.type, values, aggregator: 'sum' };
  }
}
