const SHADES = ['w0', 'w1', 'w2', 'w3'] as const;

/** Of the style sheet. Workers beside each other differ by lightness, which those see who tell no colours apart, too. */
export type WorkerShade = (typeof SHADES)[number];

export function workerShade(slot: number): WorkerShade {
  return SHADES[slot % SHADES.length] ?? 'w0';
}
