/** A figure beside its limit, both measured in one run. */
export interface Figure {
  readonly what: string;
  readonly measured: number;
  /** What the figure is measured against. */
  readonly limit: number;
  readonly unit: 'ms' | 'MiB' | 'pages/s' | 'messages/s';
  readonly goal: Goal;
}

/** What is aimed at: that the ratio of figure to limit, or the figure itself, is at most or at least so much. */
export interface Goal {
  readonly of: 'ratio' | 'figure';
  readonly is: 'at most' | 'at least';
  readonly value: number;
}

/** How many times its limit a figure is. */
export function ratioOf({ measured, limit }: Figure): number {
  return measured / limit;
}

export function isMet(figure: Figure): boolean {
  const { of, is, value } = figure.goal;
  const reached = of === 'ratio' ? ratioOf(figure) : figure.measured;
  return is === 'at most' ? reached <= value : reached >= value;
}

/** One line for people: the ratio, the goal, and both figures. */
export function describeFigure(figure: Figure): string {
  const { what, measured, limit, unit, goal } = figure;
  const shown = (value: number) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
  const aim = `${goal.is} ${goal.of === 'ratio' ? `${goal.value} x` : shown(goal.value)}`;
  const verdict = isMet(figure) ? 'met' : 'NOT MET';
  return `${ratioOf(figure).toFixed(2)} x  ${what}: ${shown(measured)} beside ${shown(limit)} (goal: ${aim}, ${verdict})`;
}

/** The value below which a share of the values lies. @param share 0 to 1 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
