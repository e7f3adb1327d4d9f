import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Backend } from '../../src/backend/backend.js'
import { type BackendName, backendNames, backends } from '../../src/backend/backends.js'
import type { OperationCheck } from '../../src/backend/checks/operation-check.js'
import { diagnoseBackends, verifyBackends } from '../../src/backend/doctor.js'
import { chooseBackend } from '../../src/backend/page/selection.js'
import { verifyCurrent } from '../../src/backend/verify.js'

/** A sum, whose right result is 3 and 5. */
const sum: OperationCheck = {
  operation: 'Add',
  sizes: '2 numbers',
  inBfloat16: false,
  isThere: () => true,
  repeats: 2,
  compute: () => [tf.add(tf.tensor1d([1, 2]), tf.tensor1d([2, 3]))],
  expected: () => [[3, 5]],
}

/** What is wrong with the backend in a test. */
let fault: 'missing' | 'broken' | 'sums' | undefined

/** A backend as somebody would add it: tfjs's plain one under another name. */
const abacus: Backend<'abacus-fast' | 'abacus'> = {
  names: ['abacus-fast', 'abacus'],
  isAutomatic: true,
  providedBy: name => `npx make ${name}`,
  async use(wanted, _, skipped) {
    if (fault === 'broken') throw new Error('a bead is lost')
    if (fault === 'missing') skipped.push({ name: 'abacus', why: 'no beads' })
    if (fault === 'missing' || wanted === 'abacus-fast') return undefined
    await tf.setBackend('abacus')
    return { name: 'abacus', reason: 'its beads slide', remark: 'slowly' }
  },
  facts: async () => ({ version: '1.2.3', threads: 10, folder: '/beads' }),
  advice: ({ chosen }) => (chosen === 'abacus' ? [] : ['Oil the beads.']),
  async verify() {
    await tf.setBackend('abacus')
    return [await verifyCurrent('abacus', '1.2.3', [sum, { ...sum, inBfloat16: true }])]
  },
}
type Names = BackendName | 'abacus-fast' | 'abacus'
const table: readonly Backend<Names>[] = [
  abacus as Backend<Names>,
  ...(backends as readonly Backend<Names>[]),
]
const options = { cwd: '/nowhere', provided: '/nowhere/provided' }

beforeAll(() => {
  tf.registerBackend('abacus', () => Object.assign(Object.create(tf.findBackend('cpu')), { dispose() {} }))
  tf.copyRegisteredKernels('cpu', 'abacus')
  const { kernelFunc } = tf.getKernel('Add', 'cpu')
  tf.unregisterKernel('Add', 'abacus')
  tf.registerKernel({
    kernelName: 'Add',
    backendName: 'abacus',
    kernelFunc: call =>
      kernelFunc(
        fault === 'sums' ? { ...call, inputs: { ...call.inputs, b: call.inputs.a } as never } : call,
      ),
  })
})
afterAll(async () => {
  await tf.setBackend('cpu')
  tf.removeBackend('abacus')
})

describe('a new backend', () => {
  test('is used by name, and by auto before those that follow it', async () => {
    fault = undefined
    expect(await chooseBackend('abacus', options, table)).toEqual({
      name: 'abacus',
      reason: 'it was asked for; slowly',
      skipped: [],
    })
    expect(tf.getBackend()).toBe('abacus')
    expect(await chooseBackend('auto', options, table)).toEqual({
      name: 'abacus',
      reason: 'its beads slide; slowly',
      skipped: [],
    })
    const byName = table.map(one => (one.names.includes('abacus') ? { ...one, isAutomatic: false } : one))
    expect((await chooseBackend('auto', options, byName)).name).toBe('wasm')
  })

  test('is gone past where it cannot be used, and said to be missing where it is asked for', async () => {
    fault = 'missing'
    const choice = await chooseBackend('auto', options, table)
    expect(choice.name).toBe('wasm')
    expect(choice.skipped[0]).toEqual({ name: 'abacus', why: 'no beads' })
    await expect(chooseBackend('abacus', options, table)).rejects.toThrow(
      new Error(
        'useBackend: backend abacus must be available, got: no beads (run `npx make abacus` to provide it)',
      ),
    )
    await expect(chooseBackend('auto', options, [abacus])).rejects.toThrow(
      new Error('useBackend: backend auto must be available, got: no beads'),
    )
    fault = undefined
    await expect(chooseBackend('abacus-fast', options, [abacus])).rejects.toThrow(
      new Error(
        'useBackend: backend abacus-fast must be available, got: none (run `npx make abacus-fast` to provide it)',
      ),
    )
    await expect(chooseBackend('soroban' as 'cpu', options, table)).rejects.toThrow(
      new RangeError(
        'useBackend: name must be auto, abacus-fast, abacus, tensorflow-gpu, tensorflow, wasm, webgpu, webgpu-software or cpu, got soroban',
      ),
    )
  })

  test('stands in the diagnosis, with a line for each of its names', async () => {
    fault = undefined
    const diagnosis = await diagnoseBackends(options, table)
    expect(diagnosis).toMatchObject({ chosen: 'abacus', reason: 'its beads slide; slowly' })
    expect(diagnosis.backends.slice(0, 2)).toEqual([
      { name: 'abacus-fast', available: false, why: 'it is not installed' },
      { name: 'abacus', available: true, version: '1.2.3', threads: 10, folder: '/beads' },
    ])
    expect(diagnosis.backends.slice(2).map(({ name }) => name)).toEqual(backendNames)
    expect(diagnosis.advice).not.toContain('Oil the beads.')
    expect(tf.getBackend()).toBe('abacus')
  })

  test('that breaks stands in the diagnosis with what it says', async () => {
    fault = 'broken'
    const last = [...(backends as readonly Backend<Names>[]), abacus as Backend<Names>]
    const { backends: diagnosed, chosen, advice } = await diagnoseBackends(options, last)
    expect(diagnosed.at(-1)).toEqual({ name: 'abacus', available: false, why: 'a bead is lost' })
    expect([chosen, advice.at(-1)]).toEqual(['wasm', 'Oil the beads.'])
    fault = undefined
  })

  test.each([
    [undefined, true, 'all 1 operations are right, at 1 sizes'],
    ['sums', false, 'abacus must compute right on this machine, got wrong: Add'],
  ] as const)('is held against plain arithmetic, with fault %s', async (planted, isUsable, verdict) => {
    fault = planted
    const [verification, ...others] = await verifyBackends(options, [abacus, { names: ['plain'] } as never])
    fault = undefined
    expect(others).toEqual([])
    expect(verification).toMatchObject({ backend: 'abacus', version: '1.2.3', isUsable, verdict })
    expect(verification?.operations).toHaveLength(1)
  })
})

test('the names of the table, in the order in which auto tries them', () => {
  expect(backendNames).toEqual(['tensorflow-gpu', 'tensorflow', 'wasm', 'webgpu', 'webgpu-software', 'cpu'])
})
