import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { expect, it } from 'vitest'
import { datasets } from '../src/data/datasets/datasets.js'

const folder = fileURLToPath(new URL('../docs/contact-sheets/', import.meta.url))
const fromSamples = /^(celeba-.*|mnist-patches)$/
const drawable = datasets.filter(({ name, source }) => source !== 'folder' || fromSamples.test(name))

it.each(drawable)('docs has a contact sheet of $name, small enough to be looked at', async ({ name }) => {
  const path = `${folder}${name}.png`
  expect(statSync(path).size).toBeLessThan(150_000)
  const { width, height } = await sharp(path).metadata()
  expect(width).toBeGreaterThan(800)
  expect(height).toBeGreaterThan(600)
})
