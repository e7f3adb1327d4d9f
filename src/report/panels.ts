/** Where a panel stands: its name is written above it, that of the axis only below the last one. */
export interface PanelPlace {
  readonly title: string
  readonly isLast: boolean
}

/** Draws rows one panel below the other, in the order in which their panels first appear. */
export function panelsOf<Row extends { readonly panel: string }, Panel>(
  rows: readonly Row[],
  draw: (rows: readonly Row[], place: PanelPlace) => Panel,
): Panel[] {
  const names = [...new Set(rows.map(({ panel }) => panel))]
  return names.map((title, i) =>
    draw(
      rows.filter(row => row.panel === title),
      { title, isLast: i === names.length - 1 },
    ),
  )
}
