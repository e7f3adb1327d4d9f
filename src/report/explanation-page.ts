import type { Size2D } from '../shapes.js'
import { type ChosenExperts, chosenTitle } from './chosen-experts.js'
import { escapeHtml } from './escape.js'
import {
  bestClass,
  type ExplainedImage,
  explanationTiles,
  explanationTilesStyle,
  isLookedAt,
} from './explanation-figure.js'
import { pageHtml, provenanceHtml } from './page.js'
import { type LookedAtImage, lookedAtHtml, lookedAtStyle } from './region-figure.js'

/** Everything that a page of explained images shows. */
export interface ExplanationPage {
  readonly title: string
  readonly images: readonly ExplainedImage[]
  /** Pixels of the model's input that one patch is computed from, height and width; absent where unknown. */
  readonly field?: Size2D
  /** Height and width of the model's input. */
  readonly input: Size2D
  /** A picture of the best patches of each expert, as a path or a data URI. */
  readonly expertSheet?: string
  /** Name and value of every setting that matters, in order. */
  readonly settings: readonly (readonly [name: string, value: string])[]
  /** The exact command that made the page. */
  readonly command: string
}

/**
 * Writes a self-contained HTML page of a model's predictions for some images, and the patches that they are made from.
 *
 * @throws RangeError when the patches of an image do not fit its grid
 */
export function explanationPage(page: ExplanationPage): string {
  const { images, settings, command, expertSheet, title } = page
  const sections = images.map((image, i) => imageSection(image, `explained-${i}`))
  const sheet =
    expertSheet === undefined
      ? []
      : [
          `<section><h2>The strongest patches of each expert</h2><img class="sheet" src="${escapeHtml(expertSheet)}" alt="for each expert, the patches that it kept with the largest gates"></section>`,
        ]
  return pageHtml({
    title,
    summary: summary(page),
    sections: [...sheet, ...sections, provenanceHtml(settings, command)],
    style: `${explanationTilesStyle}.sheet{max-width:100%}${images.some(isLookedAt) ? lookedAtStyle : ''}`,
  })
}

function summary({ images: [first], field, input }: ExplanationPage): string {
  if (first && isLookedAt(first)) return lookedAtSummary(first)
  const choices = first?.choices ?? []
  const chosenSentence = choices
    .map(
      ({ layer, experts, names }) =>
        `The layer ${layer} sends each image to ${experts.length} of its ${names.length} experts, those of the largest scores.`,
    )
    .join(' ')
  if (!first?.grid) return chosenSentence || 'This model keeps every patch: there is no choice to show.'
  const [rows, columns] = first.grid
  const patchSentence = `Each expert chooses among ${rows}x${columns} patches; those that it kept are uncovered, tinted by their gates. ${fieldSentence(field, input)}`
  return chosenSentence ? `${patchSentence} ${chosenSentence}` : patchSentence
}

/** What a patch sees: never more than there is, as a field that is larger than the input reaches into its padding. */
function fieldSentence(field: Size2D | undefined, input: Size2D): string {
  if (field === undefined) return 'How many pixels each patch is computed from is not known for this model.'
  const least = Math.min(field[0] / input[0], field[1] / input[1])
  const position = 'where it is drawn says where it lies in the feature map, not what it sees'
  // A field of twice the input covers all of it from its corner, too.
  if (least >= 2) return `Each patch is computed from the whole image: ${position}.`
  if (least >= 1)
    return `Patches in the middle are computed from the whole image, those at its border from a part: of a patch, ${position}.`
  const [height, width] = [Math.min(field[0], input[0]), Math.min(field[1], input[1])]
  return `A patch is computed from ${height}x${width} of the ${input[0]}x${input[1]} pixels of the model's input, around the place where it is drawn.`
}

function lookedAtSummary({ regions }: Pick<LookedAtImage, 'regions'>): string {
  const [, , height, width] = regions[0]?.boxes[0] ?? []
  const who = regions.length === 1 ? 'The expert reads' : 'Each expert reads'
  return (
    `${who} ${regions[0]?.boxes.length ?? 0} patches of ${height}x${width} pixels at full resolution, and nothing else of an image; ` +
    'a router chose them on a small view. They are numbered by their gates: the share that each has in the answer.'
  )
}

function imageSection(image: ExplainedImage, id: string): string {
  const rows = image.classes.map(
    ({ name, probability }) =>
      `<tr><th scope="row">${escapeHtml(name)}</th><td>${(probability * 100).toFixed(1)}%</td></tr>`,
  )
  return `<section>
<h2>${escapeHtml(image.name)}: ${escapeHtml(bestClass(image))}</h2>
${isLookedAt(image) ? lookedAtHtml(image) : explanationTiles(image, id)}
<div class="scroll"><table>
<thead><tr><th scope="col">Class</th><th scope="col">Probability</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table></div>
${(image.choices ?? []).map(choiceTable).join('\n')}</section>`
}

/** The score of every expert, and the gate of those that computed the image. */
function choiceTable(choice: ChosenExperts): string {
  const rows = choice.scores.map((score, expert) => {
    const rank = choice.experts.indexOf(expert)
    const gate = rank < 0 ? '' : (choice.gates[rank] ?? Number.NaN).toPrecision(3)
    return `<tr><th scope="row">${escapeHtml(chosenTitle(choice, expert))}</th><td>${score.toPrecision(3)}</td><td>${gate}</td></tr>`
  })
  return `<div class="scroll"><table>
<caption>Experts of ${escapeHtml(choice.layer)}</caption>
<thead><tr><th scope="col">Expert</th><th scope="col">Score</th><th scope="col">Gate where it was chosen</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table></div>
`
}
