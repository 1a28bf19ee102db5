import path from 'node:path';

/** Folders of Catamount's code, compiled and by source maps. The sample app in them counts as the app's own code. */
const LIB = path.resolve(__dirname, '..');
const OURS = [LIB, LIB.replace(/([\\/])dist[\\/]lib$/, '$1lib')].map((folder) => folder + path.sep);
const HERE = process.cwd() + path.sep;

/** How far from the enqueue the app may be, through packages of its own. */
const MAX_FRAMES = 30;

/** @returns true for a line of a stack that is in the app's code, and not in that of a package, of Node or of Catamount. */
export function isAppFrame(frame: string): boolean {
  if (/\(?node:|[\\/]node_modules[\\/]|<anonymous>\)?$|\(index \d+\)$/.test(frame)) return false;
  return !OURS.some((folder) => frame.includes(folder) && !frame.includes(`${folder}app${path.sep}`));
}

/** Makes the file of a frame relative to the working directory. */
export function shortFrame(frame: string): string {
  return frame.trim().replace('file://', '').replace(HERE, '');
}

/** @returns the place in the app that has called, such as `services/sign-up.ts:20`; undefined if none of its code has. */
export function appCaller(): string | undefined {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = MAX_FRAMES;
  const { stack = '' } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  const places = stack.split('\n').filter(isAppFrame).map(shortFrame);
  return places.flatMap((frame) => /^at (?:.* \(|async )?(.+:\d+):\d+\)?$/.exec(frame)?.[1] ?? [])[0];
}
