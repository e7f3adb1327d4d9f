/** What of a study's `results.json` the section needs. */
export interface CommittedResults {
  /** Of its folder. */
  readonly name: string
  readonly title: string
  readonly claim: string
  readonly isStandIn: boolean
  readonly brief: string
  readonly settings: { readonly seeds: number; readonly scale: string }
  /** Runs of the whole study. */
  readonly planned?: number
  readonly cells: readonly { readonly status: string }[]
}

/** The comments between which the section stands. */
export const markers = {
  begin: '<!-- results: written by npm run results -->',
  end: '<!-- /results -->',
} as const

/**
 * The section: for each study its claim and what was found, with a link to its folder, as from docs/.
 *
 * @param studies in any order; they are sorted by their numbers
 */
export function resultsSection(studies: readonly CommittedResults[]): string {
  const sorted = [...studies].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  const rows = sorted.map(({ name, claim, brief, isStandIn, settings, planned, cells }) => {
    const failed = cells.filter(({ status }) => status === 'failed').length
    const from = [
      `${settings.seeds} seeds`,
      ...(settings.scale === 'full' ? [] : [`${settings.scale} scale`]),
      ...(planned !== undefined && planned > cells.length ? [`${cells.length} of ${planned} runs`] : []),
      ...(failed > 0 ? [`${failed} of ${cells.length} runs failed`] : []),
      ...(isStandIn ? ['stand-in'] : []),
    ]
    return [`[${name}](../results/${name}/table.md)`, claim, brief, from.join(', ')]
  })
  return [['study', 'the claim', 'here', 'from'], ['---', '---', '---', '---'], ...rows]
    .map(row => `| ${row.join(' | ')} |`)
    .join('\n')
}

/**
 * A text with its section replaced.
 *
 * @param file its name, for errors
 * @throws Error unless the text has each of the two markers once, in this order
 */
export function withSection(text: string, section: string, file: string): string {
  const counts = Object.values(markers).map(marker => text.split(marker).length - 1)
  const [begin, end] = [text.indexOf(markers.begin), text.indexOf(markers.end)]
  if (counts.some(count => count !== 1) || end < begin) {
    throw new Error(
      `${file}: text must hold ${markers.begin} and, after it, ${markers.end}, once each, got ${counts.join(' and ')}`,
    )
  }
  return `${text.slice(0, begin + markers.begin.length)}\n${section}\n${text.slice(end)}`
}
