import { expect, test } from 'vitest'
import { remarkText } from '../../scripts/terminal/remark-text.js'
import type { MixtureMeasures } from '../../src/train/routing/mixture-measures.js'
import { signsOfLife } from '../../src/train/routing/signs-of-life.js'

test('options of the library become the flags that set them, and nothing else changes', () => {
  expect(remarkText('Keep about 3 (patchesPerExpert) or larger ones (patchSize).')).toBe(
    'Keep about 3 (--patches-per-expert) or larger ones (--patch-size).',
  )
  expect(remarkText("Gate 'uniform' gives none, or take gate 'softmax-all'.")).toBe(
    '--gate uniform gives none, or take --gate softmax-all.',
  )
  expect(remarkText('a rate of their own (layerRates)')).toBe('a rate of their own (--lr-for)')
  expect(remarkText("Give it the prior 'contrast', cells")).toBe('Give it the --prior contrast, cells')
  expect(remarkText('Expert 1 of patch_moe_2 and myLayer adds nothing.')).toBe(
    'Expert 1 of patch_moe_2 and myLayer adds nothing.',
  )
})

test('no remark of a mixture names an option of the library', () => {
  const bad = { answer: 1, view: 0, scoredPatches: 2, keptShare: 0.1, gatedPatches: 1 }
  const measures: MixtureMeasures = {
    layer: 'moe',
    patches: 64,
    patchesPerExpert: 16,
    gate: 'softmax-selected',
    images: 10,
    experts: [bad, bad, { ...bad, answer: 0, view: 1 }],
    pairs: [{ experts: [0, 1], samePatches: 1, difference: 0 }],
    routerChanges: [0, 0, 0],
  }
  const cases: MixtureMeasures[] = [
    measures,
    { ...measures, gate: 'uniform' },
    { ...measures, patchesPerExpert: 1 },
  ]
  const remarks = cases.flatMap(each => signsOfLife(each, {}).map(({ remark }) => remarkText(remark)))
  expect(remarks.length).toBeGreaterThan(8)
  for (const remark of remarks) expect(remark).not.toMatch(/[a-z][A-Z]|gate '/)
  expect(remarks.join(' ')).not.toMatch(/undefined|after .* epochs/)
})
