import type { ImageAnswer } from '../../../src/explore/description.js'
import { element, percent } from '../elements.js'

/** Classes that are shown. */
const SHOWN = 5

/**
 * The classes that a network gives an image, the likeliest first, as bars.
 *
 * @param trained the answer as trained, where it is asked otherwise: marked on the bars
 * @param label the true class, where it is known
 */
export function answerBars(
  answer: ImageAnswer,
  classNames: readonly string[],
  { trained, label }: { readonly trained?: ImageAnswer | undefined; readonly label?: string | undefined },
): HTMLElement {
  const order = answer.probabilities
    .map((probability, number) => ({ number, probability }))
    .sort((a, b) => b.probability - a.probability)
  const list = element('ol', { class: 'x-bars' })
  for (const { number, probability } of order.slice(0, SHOWN)) {
    const name = classNames[number] ?? `class ${number}`
    const before = trained?.probabilities[number]
    const bar = element(
      'span',
      { class: 'x-bar', 'aria-hidden': 'true' },
      element('span', { style: `width:${(probability * 100).toFixed(2)}%` }),
    )
    if (before !== undefined) {
      bar.append(
        element('i', { style: `left:${(before * 100).toFixed(2)}%`, title: `as trained ${percent(before)}` }),
      )
    }
    const isTrue = name === label
    list.append(
      element(
        'li',
        {},
        element('span', { class: 'x-name', title: name }, isTrue ? `${name} ✓` : name),
        bar,
        element('span', { class: 'x-number' }, percent(probability)),
      ),
    )
  }
  return list
}

/** What is predicted, in a line: `cat with 93.1%`. */
export function answerText({ probabilities, predicted }: ImageAnswer, classNames: readonly string[]): string {
  return `${classNames[predicted] ?? predicted} with ${percent(probabilities[predicted] ?? Number.NaN)}`
}
