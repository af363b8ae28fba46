"""What talking to Kafka may end with, when nothing is wrong but the way there."""

from aiokafka.errors import KafkaError

# The last is uvloop's, for a write to a connection that was reset meanwhile: aiokafka lets it
# through from the midst of its work. Taken for a bug of ours it would end the process.
TROUBLES = (KafkaError, OSError, TimeoutError, RuntimeError)
