import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { isObject } from '../support/type-guards';

/**
 * Calls `onLine` for each line of the stream, without its end, until the stream ends. Lines are separated by \n and
 * \r\n only: a JSON line may contain any other separator of Unicode.
 * @param first the bytes read from the stream before. @param onLine `isLogRecord` is the result of that function.
 */
export function readOutput(
  stream: Readable,
  first: Buffer,
  onLine: (line: string, isLogRecord: boolean) => void,
): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  const take = (text: string) => {
    if (!text.includes('\n')) {
      rest += text;
      return;
    }
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const each of lines) {
      const line = each.endsWith('\r') ? each.slice(0, -1) : each;
      onLine(line, isLogRecord(line));
    }
  };
  take(decoder.write(first));
  stream.on('data', (chunk: Buffer) => take(decoder.write(chunk)));
  stream.once('end', () => {
    const last = rest + decoder.end();
    rest = '';
    if (last !== '') onLine(last, isLogRecord(last));
  });
}

/** true for a line as pino, bunyan and winston write it, a JSON object with a `level`, or with Google's `severity`. */
export function isLogRecord(line: string): boolean {
  if (!line.startsWith('{') || !line.trimEnd().endsWith('}')) return false;
  try {
    const value: unknown = JSON.parse(line);
    if (!isObject(value)) return false;
    const level = 'level' in value ? value.level : 'severity' in value && value.severity;
    return typeof level === 'string' || typeof level === 'number';
  } catch {
    return false;
  }
}
