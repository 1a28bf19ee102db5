import fs from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { fileURLToPath } from 'node:url';

/** What V8 tells of a CPU profile, as far as we read it. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly callFrame: { url: string; lineNumber: number; columnNumber: number };
    positionTicks?: unknown;
  }[];
}

/** Puts the sources' files and lines into the profile, where the files that ran have maps beside them. */
export function nameSources({ nodes }: CpuProfile): void {
  const maps = new Map<string, SourceMap | undefined>();
  for (const node of nodes) {
    const { callFrame } = node;
    const { url, lineNumber, columnNumber } = callFrame;
    if (!url.startsWith('file:') || url.includes('/node_modules/')) continue;
    if (!maps.has(url)) maps.set(url, readMap(`${url}.map`));
    const entry = maps.get(url)?.findEntry(lineNumber, columnNumber);
    if (!entry || !('originalSource' in entry)) continue;
    callFrame.url = new URL(entry.originalSource, url).href;
    callFrame.lineNumber = entry.originalLine;
    callFrame.columnNumber = entry.originalColumn;
    // Its lines are those of the file that ran.
    delete node.positionTicks;
  }
}

function readMap(url: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(fs.readFileSync(fileURLToPath(url), 'utf8')) as SourceMapPayload);
  } catch {
    return undefined;
  }
}
