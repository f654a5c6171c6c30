"""The MQTT connection, topics and commands in. The only room that imports aiomqtt."""
