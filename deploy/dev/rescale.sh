# shellcheck shell=bash
# ./dev up --scale on a stack that runs

rescale() {
    local service n old brokers=0
    check_programs
    for service in "${SERVICES[@]}"; do
        old=$(instances "$service" | wc -l)
        n=${SCALE_WANTED[$service]:-$old}
        SCALE[$service]=$n
        ((n == old)) && continue
        say "$service: $old → $n"
        [[ $service == broker ]] && brokers=1
        for ((; old > n; old--)); do
            remove_instance "$service-$old"
        done
    done
    ((!brokers)) || new_brokers
    write_instances
    for service in "${SERVICES[@]}"; do
        for n in $(instances "$service"); do
            start_instance "$n"
        done
    done
    ((!brokers)) || restart_for_brokers
}

remove_instance() {
    stop_instances force-shutdown "$1"
    rm -rf "$RUN/sv/$1" "$RUN/pids/$1.pid"
}

# The list of brokers changes for every service.
new_brokers() {
    local port
    for port in $(broker_ports); do
        [[ -d $RUN/sv/broker-$((port - BROKER_PORT + 1)) ]] || ! port_taken "$port" ||
            die "port $port (for one more broker) is taken by another program"
    done
    set_broker_endpoint
    write_env
}

restart_for_brokers() {
    local service name
    for service in auth jobs worker gateway monitor; do
        for name in $(instances "$service"); do
            sv -w 20 restart "$RUN/sv/$name" >/dev/null || warn "$name has not restarted yet"
        done
    done
}
