/**
 * Where each field of a protobuf text stands, so that a refusal can name its line. Without a schema, and only for a text
 * that the parser has taken.
 */

/** `input[1].dims[0]` and, for a map entry, `parameters["key"]` → line, counted from 1. Every field has an index. */
export function linesOfFields(text: string): ReadonlyMap<string, number> {
  return new Scan(text).lines;
}

class Scan {
  readonly lines = new Map<string, number>();
  private readonly tokens: { readonly text: string; readonly line: number }[] = [];
  private at = 0;

  constructor(text: string) {
    let line = 1;
    // Comments, strings, words and numbers, line ends, and single characters.
    for (const [token] of text.matchAll(/#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[\w.+-]+|\n|[^\s]/g)) {
      if (token === '\n') line++;
      else if (!token.startsWith('#')) this.tokens.push({ text: token, line });
    }
    this.message('');
  }

  private message(path: string): void {
    const counts = new Map<string, number>();
    for (let token = this.next(); token !== undefined && !/^[}>]$/.test(token.text); token = this.next()) {
      if (/^[,;]$/.test(token.text)) continue;
      const name = token.text;
      this.skip(':');
      const inList = this.skip('[');
      do {
        if (inList && this.skip(']')) break;
        const index = counts.get(name) ?? 0;
        counts.set(name, index + 1);
        this.element(path, name, index, inList ? this.line() : token.line);
      } while (inList && (this.skip(',') || !this.skip(']')) && this.at < this.tokens.length);
    }
  }

  private element(path: string, name: string, index: number, line: number): void {
    const here = `${path}${name}[${index}]`;
    this.lines.set(here, line);
    const first = this.next()?.text ?? '';
    if (/^[{<]$/.test(first)) this.message(`${here}.`);
    else if (first === '-') this.next();
    if (!/^["']/.test(first)) return;
    // `path` ends in `name[index].`: an entry of a map is also known by its key.
    if (name === 'key') this.lines.set(`${path.replace(/\[\d+\]\.$/, '')}["${first.slice(1, -1)}"]`, line);
    while (/^["']/.test(this.tokens[this.at]?.text ?? '')) this.at++;
  }

  private next() {
    return this.tokens[this.at++];
  }

  private skip(text: string): boolean {
    if (this.tokens[this.at]?.text !== text) return false;
    this.at++;
    return true;
  }

  private line(): number {
    return this.tokens[Math.min(this.at, this.tokens.length - 1)].line;
  }
}
