import { expect, test } from 'vitest'
import { droppedModel } from '../../site/explorer/dropped/dropped-model.js'

test.each([
  ['{"dataset": {}', 'expected object, received undefined'],
  ['{"dataset": {}, "model": {"name": 7}}', 'expected string, received number\n  → at model.name'],
])('the configuration %s of a dropped run is named and said to be damaged', async (text, reason) => {
  const files = [new File(['{}'], 'run/model/model.json'), new File([text], 'run/config.json')]
  await expect(droppedModel(files)).rejects.toThrow(
    `run/config.json: file must be the configuration of a run, got ✖ Invalid input: ${reason}`,
  )
})
