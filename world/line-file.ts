import { closeSync, openSync, writeSync } from 'node:fs';

const BUFFER_CHARS_MAX = 1 << 20;

/** Writes lines to a file, a megabyte at a time: a million records must not mean a million system calls. */
export class LineFile {
  private readonly fd: number;
  private chunks: string[] = [];
  private chars = 0;
  lines = 0;

  constructor(path: string) {
    this.fd = openSync(path, 'w');
  }

  write(line: string): void {
    this.chunks.push(line, '\n');
    this.chars += line.length + 1;
    this.lines++;
    if (this.chars >= BUFFER_CHARS_MAX) this.flush();
  }

  close(): void {
    this.flush();
    closeSync(this.fd);
  }

  private flush(): void {
    writeAll(this.fd, Buffer.from(this.chunks.join('')));
    this.chunks = [];
    this.chars = 0;
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  let offset = 0;
  while (offset < bytes.length) offset += writeSync(fd, bytes, offset);
}
