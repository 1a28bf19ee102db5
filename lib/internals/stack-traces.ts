import fs from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Makes stack traces name the source files (`lib/app/services/sign-up.ts:22:7`). Does nothing if Node does so already:
 * `node --enable-source-maps` reads the map of every loaded file, also those of packages, which costs 40 ms and 10 MiB
 * a process. Here a map is read when a trace names its file for the first time, and files of packages stay as they are.
 */
export function installSourceMaps(): void {
  if (process.sourceMapsEnabled) return;
  const maps = new Map<string, FileMap | undefined>();
  const mapOf = (file: string) => {
    if (!maps.has(file)) maps.set(file, readMap(file));
    return maps.get(file);
  };
  Error.prepareStackTrace = (error, sites) =>
    [titleOf(error), ...sites.map((site) => `    at ${placeOf(site, mapOf)}`)].join('\n');
}

interface FileMap {
  readonly map: SourceMap;
  /** Sources are relative to this folder. */
  readonly folder: string;
}

/** The first line of a trace as V8 writes it; V8 uses a plain `Error` when an error cannot be printed. */
function titleOf(error: unknown): string {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return 'Error';
  }
}

function placeOf(site: NodeJS.CallSite, mapOf: (file: string) => FileMap | undefined): string {
  const text = String(site);
  try {
    const name = site.getFileName();
    const [line, column] = [site.getLineNumber(), site.getColumnNumber()];
    if (!name || line === null || column === null) return text;
    const file = name.startsWith('file:') ? fileURLToPath(name) : name;
    if (!path.isAbsolute(file) || file.includes(`${path.sep}node_modules${path.sep}`)) return text;
    const found = mapOf(file);
    const entry = found?.map.findEntry(line - 1, column - 1);
    if (!found || !entry || !('originalSource' in entry)) return text;
    const source = path.resolve(found.folder, entry.originalSource);
    return text.replace(
      `${name}:${line}:${column}`,
      () => `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`,
    );
  } catch {
    return text;
  }
}

/** @returns undefined if the file names no map, or one that cannot be read. */
function readMap(file: string): FileMap | undefined {
  try {
    const [, address] = /\n\/\/# sourceMappingURL=(\S+)\s*$/.exec(fs.readFileSync(file, 'utf8')) ?? [];
    if (address === undefined) return undefined;
    const inline = /^data:application\/json;(?:charset=[^;,]*;)?base64,/.exec(address)?.[0];
    const mapFile = path.resolve(path.dirname(file), decodeURI(address));
    const text =
      inline === undefined
        ? fs.readFileSync(mapFile, 'utf8')
        : Buffer.from(address.slice(inline.length), 'base64').toString();
    const payload = JSON.parse(text) as SourceMapPayload;
    const folder = path.resolve(path.dirname(inline === undefined ? mapFile : file), payload.sourceRoot ?? '');
    return { map: new SourceMap(payload), folder };
  } catch {
    return undefined;
  }
}
