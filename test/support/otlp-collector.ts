import http from 'node:http';
import type { AddressInfo } from 'node:net';

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface CollectedSpan {
  readonly trace: string;
  readonly id: string;
  /** '': it is the first of its trace. */
  readonly parent: string;
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  readonly attributes: Attributes;
  readonly links: readonly { readonly trace: string; readonly span: string }[];
  readonly events: readonly { readonly name: string; readonly attributes: Attributes }[];
  readonly failed: boolean;
  /** Of the process that has sent it. */
  readonly resource: Attributes;
  readonly ms: number;
}

/** An OTLP collector by HTTP, which reads protobuf as https://github.com/open-telemetry/opentelemetry-proto has it. */
export class OtlpCollector {
  readonly spans: CollectedSpan[] = [];
  /** The headers of each export. */
  readonly exports: http.IncomingHttpHeaders[] = [];
  url = '';
  private readonly server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url === '/v1/traces') this.take(Buffer.concat(chunks), request.headers);
      response.writeHead(request.url === '/v1/traces' ? 200 : 404).end();
    });
  });

  async open(): Promise<void> {
    this.spans.length = this.exports.length = 0;
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async remove(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  named(name: string): CollectedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  private take(body: Buffer, headers: http.IncomingHttpHeaders): void {
    this.exports.push(headers);
    for (const { bytes } of fieldsOf(body)) {
      const ofResource = fieldsOf(bytes);
      const resource = attributesOf(all(ofResource, 1).flatMap(({ bytes: own }) => all(fieldsOf(own), 1)));
      for (const scope of all(ofResource, 2))
        for (const span of all(fieldsOf(scope.bytes), 2)) this.spans.push(readSpan(span.bytes, resource));
    }
  }
}

const KINDS = ['internal', 'internal', 'server', 'client', 'producer', 'consumer'] as const;

function readSpan(bytes: Buffer, resource: Attributes): CollectedSpan {
  const fields = fieldsOf(bytes);
  const one = (number: number) => all(fields, number)[0];
  const hex = (number: number) => one(number)?.bytes.toString('hex') ?? '';
  const nanos = (number: number) => one(number)?.bytes.readBigUInt64LE() ?? 0n;
  return {
    trace: hex(1),
    id: hex(2),
    parent: hex(4),
    name: one(5)?.bytes.toString() ?? '',
    kind: KINDS[one(6)?.value ?? 0] ?? 'internal',
    attributes: attributesOf(all(fields, 9)),
    events: all(fields, 11).map(({ bytes: event }) => ({
      name: all(fieldsOf(event), 2)[0]?.bytes.toString() ?? '',
      attributes: attributesOf(all(fieldsOf(event), 3)),
    })),
    links: all(fields, 13).map(({ bytes: link }) => {
      const [trace, span] = [1, 2].map((number) => all(fieldsOf(link), number)[0]?.bytes.toString('hex') ?? '');
      return { trace: trace ?? '', span: span ?? '' };
    }),
    failed: all(fieldsOf(one(15)?.bytes ?? Buffer.alloc(0)), 3)[0]?.value === 2,
    resource,
    ms: Number(nanos(8) - nanos(7)) / 1e6,
  };
}

interface Field {
  readonly number: number;
  /** Of a text, a message, or a number of fixed length. */
  readonly bytes: Buffer;
  /** Of a number of variable length. */
  readonly value: number;
}

const all = (fields: readonly Field[], number: number) => fields.filter((field) => field.number === number);

/** The fields of one message of protobuf. */
function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const [number, type] = [Math.floor(key / 8), key % 8];
    const value = type === 0 || type === 2 ? varint() : 0;
    const length = type === 2 ? value : type === 1 ? 8 : type === 5 ? 4 : 0;
    fields.push({ number, value, bytes: message.subarray(at, at + length) });
    at += length;
  }
  return fields;
}

function attributesOf(pairs: readonly Field[]): Attributes {
  return Object.fromEntries(
    pairs.map(({ bytes }) => {
      const pair = fieldsOf(bytes);
      const [value] = fieldsOf(all(pair, 2)[0]?.bytes ?? Buffer.alloc(0));
      const read =
        value?.number === 1
          ? value.bytes.toString()
          : value?.number === 2
            ? value.value === 1
            : value?.number === 4
              ? value.bytes.readDoubleLE()
              : (value?.value ?? 0);
      return [all(pair, 1)[0]?.bytes.toString() ?? '', read];
    }),
  );
}
