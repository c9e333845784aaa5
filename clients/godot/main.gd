# Receiver → person; once a second, how it goes.
extends Spatial

onready var receiver := $Receiver
onready var person := $Person
onready var label := $Label


func _ready() -> void:
	receiver.connect("record_received", person, "show_record")
	var timer := Timer.new()
	timer.wait_time = 1.0
	timer.autostart = true
	timer.connect("timeout", self, "_tell")
	add_child(timer)
	print("hmmr-live: listening on UDP %s:%d" % [receiver.address, receiver.port])


func _tell() -> void:
	var said: String = "waiting for records on UDP port %d: is the stream running, or does another receiver have the port?" % receiver.port
	if receiver.fps() > 0:
		said = "%s  %d fps  latency %.1f ms" % [receiver.newest.state, receiver.fps(), receiver.newest.latency_ms]
	if receiver.last_error != "":
		said += "\n%d refused: %s" % [receiver.refused, receiver.last_error]
	label.text = said
	print("hmmr-live: ", said)
